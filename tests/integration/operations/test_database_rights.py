"""A database whose role may do less than migrations need: one sentence that says what to do, and no traceback."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from app.core.errors import ConfigurationError
from app.db import migrations
from app.db.session import Database, connect, driver_url

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
AWKWARD = "p@ss%w:rd/?#&100%25"


@dataclass(frozen=True)
class Guest:
    """A role that owns nothing, its database, and an administrator's connections to that."""

    name: str
    url: str
    owner: Engine

    def grant(self, statement: str) -> None:
        with self.owner.connect() as connection:
            connection.execute(text(statement))


@pytest.fixture
def guest(new_database: Callable[..., str]) -> Iterator[Guest]:
    url, name = make_url(driver_url(new_database())), f"guest_{uuid4().hex[:8]}"
    owner = create_engine(url, isolation_level="AUTOCOMMIT")
    made = Guest(name, url.set(username=name, password=AWKWARD).render_as_string(hide_password=False), owner)
    made.grant(f"CREATE ROLE {name} LOGIN PASSWORD '{AWKWARD}'")
    yield made
    made.grant(f'ALTER DATABASE "{url.database}" OWNER TO CURRENT_USER')
    made.grant(f"DROP OWNED BY {name} CASCADE")
    made.grant(f"DROP ROLE {name}")
    owner.dispose()


def refusal(database: Database) -> str:
    with pytest.raises(ConfigurationError) as refused:
        migrations.upgrade(database)
    database.dispose()
    return str(refused.value)


def command(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **env}
    called = [sys.executable, "-m", *arguments]
    return subprocess.run(called, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_a_role_that_may_not_create_the_extension_is_told_what_to_run(guest: Guest) -> None:
    guest.grant(f"GRANT CREATE ON SCHEMA public TO {guest.name}")
    said = refusal(connect(guest.url, pool_size=1))
    assert f'role "{guest.name}" may not create the extension pg_trgm' in said
    assert "as a superuser, run `CREATE EXTENSION pg_trgm` in that database" in said
    assert "\n" not in said


def test_a_role_that_may_not_create_tables_is_told_what_to_run(guest: Guest) -> None:
    guest.grant("CREATE EXTENSION pg_trgm")
    guest.grant("REVOKE CREATE ON SCHEMA public FROM PUBLIC")  # the default since PostgreSQL 15
    said = refusal(connect(guest.url, pool_size=1))
    assert f'role "{guest.name}" may not change the schema' in said
    assert f'OWNER TO "{guest.name}"' in said


def test_what_the_sentence_says_to_run_is_enough(guest: Guest) -> None:
    guest.grant("CREATE EXTENSION pg_trgm")
    guest.grant(f'ALTER DATABASE "{make_url(guest.url).database}" OWNER TO "{guest.name}"')
    database = connect(guest.url, pool_size=1)
    migrations.upgrade(database)
    migrations.require_current(database)
    database.dispose()


def test_a_server_without_the_extension_is_told_what_to_install(guest: Guest) -> None:
    with (
        guest.owner.connect() as connection,
        pytest.raises(ConfigurationError, match=r"has no extension no_such_one .* contrib"),
        migrations.explained(connection),
    ):
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS no_such_one"))


def test_a_defect_of_a_migration_stays_an_error_with_a_traceback(guest: Guest) -> None:
    with (
        guest.owner.connect() as connection,
        pytest.raises(Exception, match="no_such_table"),
        migrations.explained(connection),
    ):
        connection.execute(text("SELECT FROM no_such_table"))


@pytest.mark.parametrize("called", [("app", "migrate"), ("app", "serve"), ("app", "worker")], ids=" ".join)
def test_the_commands_tell_it_in_one_line(guest: Guest, tmp_path: Path, called: tuple[str, ...]) -> None:
    guest.grant(f"GRANT CREATE ON SCHEMA public TO {guest.name}")
    ended = command(*called, cwd=tmp_path, DATABASE_URL=guest.url)
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith(f'error: role "{guest.name}" may not create the extension pg_trgm')
    assert AWKWARD not in ended.stderr


def test_alembic_tells_it_in_one_line(guest: Guest, tmp_path: Path) -> None:
    guest.grant(f"GRANT CREATE ON SCHEMA public TO {guest.name}")
    called = ("alembic", "-c", str(ROOT / "alembic.ini"), "upgrade", "head")
    ended = command(*called, cwd=tmp_path, DATABASE_URL=guest.url)
    assert ended.returncode != 0
    assert "Traceback" not in ended.stderr
    assert f'FAILED: role "{guest.name}" may not create the extension' in ended.stderr + ended.stdout


def test_compose_hands_over_a_password_with_any_characters(guest: Guest, tmp_path: Path) -> None:
    """As compose does it: the text of POSTGRES_PASSWORD stands as it is wherever it is named."""
    guest.grant("CREATE EXTENSION pg_trgm")
    url = make_url(guest.url)
    guest.grant(f'ALTER DATABASE "{url.database}" OWNER TO "{guest.name}"')
    compose = (ROOT / "docker-compose.yml").read_text()
    filled = {
        name: value.replace("${POSTGRES_PASSWORD:-incidents}", AWKWARD)
        for name, value in re.findall(r"^      (DATABASE_URL|PGPASSWORD): (.+)$", compose, re.MULTILINE)
    }
    here = f"{guest.name}@{url.host}:{url.port}/{url.database}"
    address = filled["DATABASE_URL"].replace("incidents@database:5432/incidents", here)
    assert AWKWARD not in address
    ended = command("app", "migrate", cwd=tmp_path, DATABASE_URL=address, PGPASSWORD=filled["PGPASSWORD"])
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stderr


def test_a_url_with_an_escaped_password_works_as_well(guest: Guest, tmp_path: Path) -> None:
    guest.grant("CREATE EXTENSION pg_trgm")
    guest.grant(f'ALTER DATABASE "{make_url(guest.url).database}" OWNER TO "{guest.name}"')
    called = ("alembic", "-c", str(ROOT / "alembic.ini"), "upgrade", "head")
    ended = command(*called, cwd=tmp_path, DATABASE_URL=guest.url)
    assert ended.returncode == 0, ended.stderr
