"""Compares what the suites said of each listener with what they said directly.

    report.py KNOWN RESULTS SUITES LISTENERS

RESULTS holds LISTENER/SUITE.tsv, with `direct` for no router. Prints a table and every surprise, and
fails if there is one: a difference that KNOWN does not explain, or an explanation of none.
"""

import sys
from pathlib import Path

import tables


def compare(known, suite, listener, direct, routed):
    """The counts of a comparison, and its surprises."""
    rows = [row for row in known if row.suite == suite]
    unsteady = [row.test for row in rows if row.section == "Unsteady"]
    explained = [row for row in rows if row.section == "Differences" and row.where in ("*", listener)]
    counts = {"tests": len(direct), "same": 0, "unsteady": 0, "explained": 0}
    used, surprises = set(), []
    for test in sorted(direct.keys() | routed.keys()):
        (before, _), (after, why) = (side.get(test, ("missing", "")) for side in (direct, routed))
        if any(tables.matches(pattern, test) for pattern in unsteady):
            counts["unsteady"] += 1
            continue
        row = next((row for row in explained if tables.matches(row.test, test)), None)
        change = f"{before} → {after}"
        if row is not None:
            used.add(row.line)
        if before == after and row is None:
            counts["same"] += 1
        elif row is not None and row.outcomes == change:
            counts["explained"] += 1
        elif row is None:
            surprises.append(f"{test}: {change}, and no line explains it: {why}")
        else:
            surprises.append(f"{test}: {change}, but line {row.line} says {row.outcomes}")
    for row in explained:
        if row.line not in used:
            surprises.append(f"line {row.line} explains {row.test}, of which nothing was heard")
    return counts, surprises


def main():
    file, folder, suites, listeners = sys.argv[1:]
    known, surprised, passed, unsteady = tables.rows(file), [], 0, 0
    columns = ["tests", "same", "unsteady", "explained"]
    print(f"\n{'suite':<16}{'listener':<12}" + "".join(f"{name:>11}" for name in columns) + f"{'unexplained':>13}")
    for suite in suites.split():
        for listener in listeners.split():
            direct, routed = (
                tables.results(Path(folder, where, f"{suite}.tsv")) for where in ("direct", listener)
            )
            counts, surprises = compare(known, suite, listener, direct, routed)
            if not direct:
                surprises.append("not one test ran directly")
            line = f"{suite:<16}{listener:<12}" + "".join(f"{counts[name]:>11}" for name in columns)
            print(f"{line}{len(surprises):>13}")
            passed += counts["same"] + counts["explained"]
            unsteady += counts["unsteady"]
            surprised += [f"{suite}, {listener}: {surprise}" for surprise in surprises]
    for surprise in surprised:
        print(surprise)
    print("every difference is explained" if not surprised else f"{len(surprised)} surprises: see {file}")
    # As Cargo's runner says it, so that scripts/test.sh can add it up.
    outcome = "FAILED" if surprised else "ok"
    print(f"test result: {outcome}. {passed} passed; {len(surprised)} failed; {unsteady} ignored")
    sys.exit(bool(surprised))


main()
