"""Runs the table of faults: `python -m tests.faults --scale 1` uses the documented numbers.

The last line says how many passed and failed, and the exit code agrees with it.
"""

import sys
from pathlib import Path

import pytest


class Count:
    """Counts tests, each once, whatever phase it failed in."""

    def __init__(self) -> None:
        self.passed: set[str] = set()
        self.failed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid)
            self.passed.discard(report.nodeid)
        elif report.when == "call" and report.passed and report.nodeid not in self.failed:
            self.passed.add(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid)


def main(arguments: list[str]) -> int:
    count = Count()
    here = str(Path(__file__).parent)
    options = ["-m", "faults", "-p", "no:cacheprovider", "-o", "timeout=0", here]
    code = pytest.main([*options, *arguments], plugins=[count])
    sys.stdout.write(f"{len(count.passed)} passed, {len(count.failed)} failed\n")
    return int(code) or int(bool(count.failed) or not count.passed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
