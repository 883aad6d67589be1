"""Mutants that mutmut makes of the deciders and the pure modules. `[tool.mutmut]` in pyproject.toml lists them."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from os import environ
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import walk_mutatable_files

HARMLESS = Path(__file__).with_name("harmless.toml")
KILLED = {"killed", "timeout", "caught by type check", "segfault"}
LEAST_PERCENT = 90.0
WITHOUT_COLLECTING_GARBAGE = "-p no:unraisableexception -p no:threadexception"  # at the end of each run: half its time


@dataclass(frozen=True)
class Result:
    """What became of one mutant. `change` says it without line or mutant numbers, which every edit moves."""

    module: str
    change: str
    is_killed: bool


def run(patterns: list[str]) -> None:
    """Run mutmut; what it found out earlier, and what nothing has changed since, it does not run again."""
    own = {**environ, "PYTEST_ADDOPTS": WITHOUT_COLLECTING_GARBAGE}
    subprocess.run([sys.executable, "-m", "mutmut", "run", *patterns], env=own, check=True)


def results() -> Iterator[Result]:
    """The results of the last runs, of every mutant that was run."""
    for path in walk_mutatable_files():
        data = SourceFileMutationData(path=path)
        data.load()
        for name, code in data.exit_code_by_key.items():
            if code is not None:
                is_killed = status_by_exit_code[code] in KILLED
                yield Result(str(path), "" if is_killed else _change(name, path), is_killed)


def _change(name: str, path: Path) -> str:
    """Such as `app.services.escalation.due: - return a < b + return a <= b`."""
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]
    changed = [f"{line[0]} {line[1:].strip()}" for line in lines if line[:1] in "+-" and line[1:].strip()]
    function = name.rpartition("__mutmut_")[0]
    return f"{function}: {' '.join(changed)}"


def harmless() -> set[str]:
    """The changes that make no difference that a test could notice, or none that anybody would."""
    entries = tomllib.loads(HARMLESS.read_text()).get("because", [])
    return {" ".join(mutant.split()) for entry in entries for mutant in entry["mutants"]}


def report(found: list[Result]) -> bool:
    """Print the score of each module and every survivor that is not listed. Returns whether all is well."""
    listed = harmless()
    unlisted = [result.change for result in found if not result.is_killed and result.change not in listed]
    is_well = not unlisted
    for module in sorted({result.module for result in found}):
        of_module = [result.is_killed for result in found if result.module == module]
        percent = 100 * sum(of_module) / len(of_module)
        is_well &= percent >= LEAST_PERCENT
        print(f"{percent:5.1f} %  {sum(of_module):4} of {len(of_module):4}  {module}")  # noqa: T201 - the output
    for change in unlisted:
        print(f"survived, and is not in {HARMLESS.name}: {change}")  # noqa: T201
    return is_well
