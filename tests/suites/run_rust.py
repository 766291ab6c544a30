"""Runs each test of a Rust test program in a process of its own: see run.py for the lines written.

    run_rust.py OUTPUT PROGRAM

A process for each test, so that one that waits for ever, or aborts, costs only itself.
"""

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

BOUND = 60
AT_ONCE = 4


def run(program, name):
    begun = time.monotonic()
    try:
        done = subprocess.run(
            [program, "--exact", name], capture_output=True, text=True, timeout=BOUND, check=False
        )
        said = done.stdout
    except subprocess.TimeoutExpired:
        return "fail", time.monotonic() - begun, f"takes longer than {BOUND} s"
    seconds = time.monotonic() - begun
    if re.search(r"^test .* \.\.\. ignored", said, re.M):
        return "skip", seconds, "ignored by its authors"
    if done.returncode == 0 and "1 passed" in said:
        return "ok", seconds, ""
    # The line after "panicked at …" is the assertion's own words.
    words = re.search(r"panicked at [^\n]*\n([^\n]*)", said) or re.search(r"(.*)", done.stderr or said)
    return "fail", seconds, " ".join(words.group(1).split())[:300]


def main():
    output, program = sys.argv[1:]
    listed = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout
    names = [line.removesuffix(": test") for line in listed.splitlines() if line.endswith(": test")]
    begun, counts = time.monotonic(), {}
    with open(output, "w", encoding="utf-8") as lines, ThreadPoolExecutor(AT_ONCE) as pool:
        for name, (outcome, seconds, why) in zip(names, pool.map(lambda n: run(program, n), names)):
            counts[outcome] = counts.get(outcome, 0) + 1
            lines.write(f"{outcome}\t{name}\t{seconds:.2f}\t{why}\n")
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    print(f"{len(names)} tests in {time.monotonic() - begun:.0f} s: {counts}")


main()
