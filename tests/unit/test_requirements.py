"""What is installed is what was reviewed: every requirement has a version and hashes, and pip checks them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = ("requirements.txt", "requirements-dev.txt")
REQUIREMENT = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[\w,-]+\])?==(\S+)((?: --hash=sha256:[0-9a-f]{64})+)$")


def requirements(file: str) -> list[str]:
    """The requirements of a file, each on one line, without comments."""
    lines = [line for line in (ROOT / file).read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [re.sub(r" +", " ", line).strip() for line in joined.splitlines() if line.strip()]


@pytest.mark.parametrize("file", FILES)
def test_every_requirement_has_a_version_and_hashes(file: str) -> None:
    assert [line for line in requirements(file) if not REQUIREMENT.match(line)] == []
    assert len(requirements(file)) > 40


def test_the_requirements_for_development_agree_with_those_of_the_service() -> None:
    service, development = ({m[1]: m[2] for m in map(REQUIREMENT.match, requirements(f)) if m} for f in FILES)
    assert {name: development[name] for name in service if name in development} == {
        name: version for name, version in service.items() if name in development
    }


def test_pip_is_told_to_check_the_hashes() -> None:
    assert (ROOT / "Makefile").read_text().count("pip install --require-hashes") == 2
    assert "pip install --require-hashes" in (ROOT / "Dockerfile").read_text()
