"""What an operator types, and what the commands say: one sentence and an exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from app.db.session import Database
from tests.support.audited import tamper, whole, write

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def audit(own_url: str, tmp_path: Path) -> Command:
    """Runs `python -m app audit ...` on the test's own database. Returns its exit code, its answer and its errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "app", "audit", *arguments],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATABASE_URL": own_url},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_verify_says_that_the_chain_is_whole_and_where_it_ends(audit: Command, own_database: Database) -> None:
    write(own_database, 3)
    head = whole(own_database).head
    said = f"The audit chain is whole: 3 entries. Its head is {head}\n"
    assert audit("verify")[:2] == (0, said)
    assert audit("verify", "--head", str(head))[:2] == (0, said)


def test_verify_says_what_is_wrong_and_fails(audit: Command, own_database: Database) -> None:
    write(own_database, 3)
    head = whole(own_database).head
    tamper(own_database, "DELETE FROM audit_entries WHERE actor_id = 3", "DELETE FROM audit_links WHERE seq = 3")
    assert audit("verify")[0] == 0
    code, said, _ = audit("verify", "--head", str(head))
    assert (code, said) == (
        1,
        "The audit chain is broken (cut): the chain ends at link 2, before the given head: entries were cut off.\n",
    )
    tamper(own_database, "UPDATE audit_entries SET actor_id = 9 WHERE actor_id = 1")
    code, said, _ = audit("verify")
    assert code == 1
    assert said.startswith("The audit chain is broken (changed): entry ")


def test_erase_is_recorded_with_who_ran_it(audit: Command, own_database: Database) -> None:
    write(own_database, 3)
    assert audit("erase", "--user", "2")[:2] == (
        0,
        "Erased 1 values about user 2. The entries and the chain stay.\n",
    )
    assert "1 of their values erased" in audit("verify")[1]
    with own_database.transaction() as session:
        sender = session.scalar(text("SELECT value FROM audit_values ORDER BY entry_id DESC, name LIMIT 1"))
    assert json.loads(str(sender)).startswith("command line: ")


def test_prune_says_what_it_deleted(audit: Command, own_database: Database) -> None:
    write(own_database, 2)
    code, said, _ = audit("prune", "--before", "2020-01-31")
    assert (code, said) == (0, "No entry is older than 2020-01-31 00:00 UTC. Nothing was deleted.\n")
    with own_database.transaction() as session:
        at = session.scalar(text("SELECT clock_timestamp()::text"))
    code, said, _ = audit("prune", "--before", str(at))
    assert (code, said) == (0, "Deleted 2 entries. The chain begins at a checkpoint now.\n")
    assert whole(own_database).entries == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("verify", "--head", "12"), "error: --head must be the seq and the hash of a line audit_chain_head"),
        (("verify", "--head", "-1:" + "0" * 64), "--head"),
        (("prune", "--before", "yesterday"), 'error: --before "yesterday" is no date. Write it as 2026-01-31.'),
        (("prune", "--before", "2999-01-01"), "is in the future. Name a date in the past."),
        (("prune",), "--before"),
        (("erase", "--user", "ada"), "--user"),
        ((), "action"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(
    audit: Command, own_database: Database, arguments: tuple[str, ...], told: str
) -> None:
    write(own_database, 1)
    code, said, errors = audit(*arguments)
    assert (code, said) == (2, "")
    assert told in errors
    assert "Traceback" not in errors
    assert whole(own_database).entries == 1
