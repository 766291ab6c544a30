"""Runs pgbench in all its modes and checks what it leaves behind: see run.py for the lines written.

    run_pgbench.py OUTPUT FOLDER_OF_POSTGRESQLS_PROGRAMS

Each line is one run of pgbench over a fixed number of transactions, all of which must succeed. After
those that write, the balances and the history must agree: nothing lost, nothing done twice.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

BOUND = 120
MODES = ["simple", "extended", "prepared"]
CLIENTS = 4

# One round trip for many statements, with an error in none of them.
PIPELINE = """\
\\set aid random(1, 100000)
\\startpipeline
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
SELECT 1;
UPDATE pgbench_accounts SET abalance = abalance WHERE aid = :aid;
SELECT generate_series(1, 100);
\\endpipeline
"""

# TPC-B's transaction from BEGIN to END in one round trip.
TPCB_PIPELINE = """\
\\set aid random(1, 100000)
\\set tid random(1, 10)
\\set delta random(-5000, 5000)
\\startpipeline
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE bid = 1;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (:tid, 1, :aid, :delta, CURRENT_TIMESTAMP);
END;
\\endpipeline
"""

# A transaction that is ended by ROLLBACK leaves nothing.
ROLLBACK = """\
\\set aid random(1, 100000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + 1000000 WHERE aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE aid = :aid \\gset
ROLLBACK;
"""

AGREE = """
SELECT (SELECT count(*) FROM pgbench_history) = {done}
   AND (SELECT coalesce(sum(delta), 0) FROM pgbench_history) = (SELECT sum(abalance) FROM pgbench_accounts)
   AND (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(tbalance) FROM pgbench_tellers)
   AND (SELECT sum(tbalance) FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches)
"""


class Failed(Exception):
    """What went wrong, in words."""


def program(name, *arguments):
    path = os.path.join(sys.argv[2], name)
    try:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, timeout=BOUND, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"takes longer than {BOUND} s") from error
    if done.returncode != 0:
        raise Failed(done.stderr)
    return done.stdout


def pgbench(transactions, *arguments):
    said = program("pgbench", "-n", "-c", str(CLIENTS), "-j", "2", "-t", str(transactions), *arguments)
    whole = f"{transactions * CLIENTS}/{transactions * CLIENTS}"
    if f"actually processed: {whole}" not in said:
        raise Failed(" ".join(re.findall(r"number of .*", said)))
    return transactions * CLIENTS


def main():
    done = 0

    def writes(count):
        nonlocal done
        done += count
        if program("psql", "-XAtc", AGREE.format(done=done)).strip() != "t":
            raise Failed(f"balances and history do not agree after {done} transactions")

    tests = [("initialize", lambda: program("pgbench", "-i", "-q", "-s", "1"))]
    with tempfile.TemporaryDirectory() as folder:
        scripts = {"pipeline": PIPELINE, "tpcb-pipeline": TPCB_PIPELINE, "rollback": ROLLBACK}
        for name, text in scripts.items():
            scripts[name] = os.path.join(folder, name)
            with open(scripts[name], "w", encoding="utf-8") as file:
                file.write(text)
        for mode in MODES:
            tests += [
                (f"tpcb/{mode}", lambda m=mode: writes(pgbench(250, "-M", m))),
                (f"select/{mode}", lambda m=mode: pgbench(1000, "-S", "-M", m)),
                (f"rollback/{mode}", lambda m=mode: pgbench(250, "-M", m, "-f", scripts["rollback"])),
                (f"connect/{mode}", lambda m=mode: pgbench(25, "-S", "-C", "-M", m)),
            ]
            if mode != "simple":
                tests += [
                    (f"pipeline/{mode}", lambda m=mode: pgbench(250, "-M", m, "-f", scripts["pipeline"])),
                    (
                        f"tpcb-pipeline/{mode}",
                        lambda m=mode: writes(pgbench(250, "-M", m, "-f", scripts["tpcb-pipeline"])),
                    ),
                ]
        begun, counts = time.monotonic(), {}
        with open(sys.argv[1], "w", encoding="utf-8") as lines:
            for name, test in tests:
                started = time.monotonic()
                try:
                    test()
                    outcome, why = "ok", ""
                except Failed as error:
                    outcome, why = "fail", " ".join(str(error).split())[:300]
                counts[outcome] = counts.get(outcome, 0) + 1
                lines.write(f"{outcome}\t{name}\t{time.monotonic() - started:.2f}\t{why}\n")
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    print(f"{len(tests)} tests in {time.monotonic() - begun:.0f} s: {counts}")


main()
