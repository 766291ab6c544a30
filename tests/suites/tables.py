"""Reads the tables of known.md and the results of runs."""

import fnmatch
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Row:
    """One line of a table: what is said of which tests."""

    section: str
    suite: str
    where: str
    test: str
    outcomes: str
    why: str
    line: int


def matches(pattern, test):
    """Whether a pattern (`*` and `?` as in a shell) means a test; without them it is the name."""
    return fnmatch.fnmatchcase(test, pattern)


def rows(file):
    """All rows of known.md. A row that cannot be read is an error with its line."""
    found, section = [], None
    for number, line in enumerate(Path(file).read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("## "):
            section = line[3:].strip()
        if not line.startswith("|") or set(line) <= set("|-: "):
            continue
        cells = [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
        if cells[0] == "suite":
            continue
        if section == "Left out" and len(cells) == 3:
            suite, test, why = cells
            row = Row(section, suite, "*", test, "", why, number)
        elif section == "Unsteady" and len(cells) == 3:
            suite, test, why = cells
            row = Row(section, suite, "*", test, "", why, number)
        elif section == "Differences" and len(cells) == 5:
            suite, where, test, outcomes, why = cells
            row = Row(section, suite, where, test, outcomes, why, number)
        else:
            raise SystemExit(f"{file}:{number}: this row does not fit its section '{section}'")
        if not row.why:
            raise SystemExit(f"{file}:{number}: say why")
        found.append(row)
    return found


def left_out(file, suite):
    """The patterns of a suite's tests that are not run."""
    return [row.test for row in rows(file) if row.section == "Left out" and row.suite == suite]


def results(file):
    """Name to (outcome, why) of a run."""
    found = {}
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        outcome, name, _seconds, why = line.split("\t", 3)
        found[name] = (outcome, why)
    return found
