"""The operator's command `backup-done`: what a backup's script ends with."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.crud import crud_backup
from app.crud.clock import now
from app.db.session import Database

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def backup_done(url: str, tmp_path: Path) -> tuple[int, str]:
    """Run the command. Returns its exit code and what it said."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": url}
    line = [sys.executable, "-m", "app", "backup-done"]
    done = subprocess.run(line, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_a_backup_is_recorded_and_the_command_names_the_database(
    own_url: str, own_database: Database, tmp_path: Path
) -> None:
    code, said = backup_done(own_url, tmp_path)
    assert code == 0
    assert own_url.rpartition("/")[2] in said
    with own_database.transaction() as session:
        last = crud_backup.last(session)
        assert last is not None
        assert 0 <= (now(session) - last).total_seconds() < 300


def test_a_database_that_is_behind_is_an_error_in_one_sentence(
    new_database: Callable[..., str], tmp_path: Path
) -> None:
    code, said = backup_done(new_database(), tmp_path)
    assert code == 2
    assert "alembic upgrade head" in said
    assert "Traceback" not in said
