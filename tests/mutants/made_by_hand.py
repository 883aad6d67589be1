"""Mutants written by hand in services and crud. Each names the tests that must fail while it is in the code."""

import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from os import environ
from pathlib import Path

from app.db.embedded.server import EmbeddedPostgres

ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("made_by_hand.toml")
NEEDED = ("app", "alembic", "alembic.ini", "tests", "pyproject.toml", ".env.example", "docs", "README.md", "benchmarks")
FAILED = 1  # pytest's exit code when tests ran and some failed: no other code kills a mutant
SECONDS = 600


@dataclass(frozen=True)
class Mutant:
    """One change of one file. `text` occurs there exactly once."""

    name: str
    file: str
    text: str
    becomes: str
    tests: Sequence[str]

    def written(self, source: str) -> str:
        found = source.count(self.text)
        if found != 1:
            raise ValueError(f"{self.name}: the text occurs {found} times in {self.file}. Adapt it in {LIST.name}.")
        return source.replace(self.text, self.becomes)


def mutants() -> list[Mutant]:
    return [Mutant(**entry) for entry in tomllib.loads(LIST.read_text())["mutant"]]


def survivors(part: str = "") -> list[str]:
    """Run every mutant whose name contains the part, in a copy of the tree. Returns what no test noticed."""
    chosen = [mutant for mutant in mutants() if part in mutant.name]
    with _copy() as tree, _database() as url:
        whole = sorted({test for mutant in chosen for test in mutant.tests})
        if code := _pytest(tree, url, whole):
            raise SystemExit(f"The tests end with {code} without any mutant: {' '.join(whole)}")
        return [mutant.name for mutant in chosen if not _is_killed(mutant, tree, url)]


def _is_killed(mutant: Mutant, tree: Path, url: str) -> bool:
    file = tree / mutant.file
    source = file.read_text()
    file.write_text(mutant.written(source))
    try:
        is_killed = _pytest(tree, url, mutant.tests) == FAILED
    finally:
        file.write_text(source)
    print(f"{'killed  ' if is_killed else 'SURVIVED'}  {mutant.name}", flush=True)  # noqa: T201 - a command's output
    return is_killed


def _pytest(tree: Path, url: str, tests: Sequence[str]) -> int:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider", *tests]
    own = {**environ, "TEST_DATABASE_URL": url, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=tree, env=own, capture_output=True, timeout=SECONDS, check=False).returncode


@contextmanager
def _copy() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory)
        for name in NEEDED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, tree / name)
        yield tree


@contextmanager
def _database() -> Iterator[str]:
    """One server for all the runs, each of which makes and drops its own databases."""
    with tempfile.TemporaryDirectory() as directory, EmbeddedPostgres(Path(directory) / "postgres") as url:
        yield url
