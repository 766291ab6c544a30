"""Runs a suite of unittest cases in order and writes one line for each: outcome, name, seconds, why.

    run.py OUTPUT PACKAGE [--left-out FILE SUITE] [--only REGEX]

PACKAGE is importable from the current folder. A test that takes longer than BOUND is ended and has
failed: one that waits for ever would hide all that come after it.
"""

import argparse
import gc
import importlib
import re
import signal
import sys
import time
import unittest
from pathlib import Path

import tables

BOUND = 60


class TooLong(BaseException):
    """Not an Exception, so that no test takes it for one it expects."""


class Result(unittest.TestResult):
    """Writes each outcome as soon as it is known, so that a run that dies leaves what it learnt."""

    def __init__(self, output):
        super().__init__()
        self.output = output
        self.counts = {}

    def startTest(self, test):
        super().startTest(test)
        self.outcome = None
        self.begun = time.monotonic()
        signal.alarm(BOUND)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)
        # What this test left behind complains now, and not in the middle of a later one.
        gc.collect()
        outcome, why = self.outcome or ("ok", "")
        self.write(outcome, test.id(), time.monotonic() - self.begun, why)

    def write(self, outcome, name, seconds, why):
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        self.output.write(f"{outcome}\t{name}\t{seconds:.2f}\t{why}\n")
        self.output.flush()

    def settle(self, test, outcome, why):
        # The first thing that went wrong is the test's; a later one is often its consequence.
        if isinstance(test, unittest.TestCase) and hasattr(test, "_testMethodName"):
            self.outcome = self.outcome or (outcome, why)
        else:
            # What failed is a class or a module as a whole, and no test of it will be told.
            self.write(outcome, test.id(), 0, why)

    def addError(self, test, err):
        self.settle(test, "fail", self.words(err))

    def addFailure(self, test, err):
        self.settle(test, "fail", self.words(err))

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.settle(test, "fail", f"{subtest._subDescription()}: {self.words(err)}")

    def addSkip(self, test, reason):
        self.settle(test, "skip", " ".join(reason.split()))

    def addExpectedFailure(self, test, err):
        self.settle(test, "ok", "fails as its authors expect")

    def addUnexpectedSuccess(self, test):
        self.settle(test, "fail", "succeeds unexpectedly")

    @staticmethod
    def words(err):
        text = " ".join(f"{err[0].__name__}: {err[1]}".split())
        return text[:300]


def cases(suite):
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from cases(part)
        else:
            yield part


def load(package):
    module = importlib.import_module(package)
    loader = unittest.TestLoader()
    # A suite that says itself what it consists of is believed.
    if hasattr(module, "test_suite"):
        return module.test_suite()
    folder = str(Path(module.__file__).parent)
    return loader.discover(folder, pattern="test_*.py", top_level_dir=".")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("output")
    options.add_argument("package")
    options.add_argument("--left-out", nargs=2, metavar=("FILE", "SUITE"))
    options.add_argument("--only", type=re.compile)
    options = options.parse_args()

    def too_long(*_):
        raise TooLong(f"takes longer than {BOUND} s")

    signal.signal(signal.SIGALRM, too_long)
    sys.path.insert(0, ".")
    left_out = tables.left_out(*options.left_out) if options.left_out else []
    chosen = [
        case
        for case in cases(load(options.package))
        if not any(tables.matches(pattern, case.id()) for pattern in left_out)
        and (options.only is None or options.only.search(case.id()))
    ]
    with open(options.output, "w", encoding="utf-8") as output:
        result = Result(output)
        begun = time.monotonic()
        # What is here to stay need not be looked through after every test.
        gc.freeze()
        # One suite, so that unittest sets up and tears down each class once.
        unittest.TestSuite(chosen).run(result)
        seconds = time.monotonic() - begun
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(result.counts.items()))
    print(f"{len(chosen)} tests in {seconds:.0f} s: {counts}")


main()
