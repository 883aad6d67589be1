"""The page on security is true: each test that it names exists, and each threat has one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
THREATS, _, REQUIREMENTS = PAGE.partition("## OWASP ASVS")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
TESTS = sorted(set(NAMED.findall(PAGE)))
STATES = {"holds", "partly", "holds with a proxy", "does not apply", "do not apply", "do not hold", "**does not hold**"}
CHAPTERS = range(1, 18)


def rows(text: str) -> list[list[str]]:
    """The cells of all tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] not in ("threat", "group", "---")]


@pytest.mark.parametrize(("file", "test"), TESTS)
def test_a_test_that_the_page_names_exists(file: str, test: str) -> None:
    assert re.search(rf"^ *(?:async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize("row", rows(THREATS), ids=lambda row: row[0][:50])
def test_each_threat_has_a_guard_and_a_test(row: list[str]) -> None:
    assert len(row) == 3
    assert row[1]
    assert NAMED.search(row[2])


@pytest.mark.parametrize("row", rows(REQUIREMENTS), ids=lambda row: row[0][:50])
def test_each_group_of_requirements_has_a_state_and_a_reason(row: list[str]) -> None:
    assert len(row) == 3
    assert row[1] in STATES
    assert row[2]


def test_every_chapter_of_the_standard_is_there() -> None:
    named = {int(number) for row in rows(REQUIREMENTS) for number in re.findall(r"V(\d+)", row[0])}
    assert named == set(CHAPTERS)


def test_the_page_names_many_tests() -> None:
    assert len(TESTS) > 50
