"""The schema: up, down, up again, no difference to the models, and several processes at once."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, inspect, text
from sqlalchemy.exc import IntegrityError

from alembic import command
from app.core.errors import ConfigurationError
from app.db import migrations
from app.db.base import Base
from app.db.session import Database, connect
from tests.support.contention import waiting
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def empty(new_database: Callable[..., str]) -> Iterator[Database]:
    """A database without a schema."""
    database = connect(new_database(), pool_size=5)
    yield database
    database.dispose()


def run(database: Database, migrate: Callable[[Config, str], None], revision: str) -> None:
    config = Config(migrations.ALEMBIC_INI)
    with database.connection() as connection:
        config.attributes["connection"] = connection
        migrate(config, revision)


def tables(database: Database) -> set[str]:
    with database.connection() as connection:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}


def test_upgrade_downgrade_and_upgrade_again_end_at_the_models(empty: Database) -> None:
    run(empty, command.upgrade, "head")
    assert tables(empty) == set(Base.metadata.tables)
    run(empty, command.downgrade, "base")
    assert tables(empty) == set()
    run(empty, command.upgrade, "head")
    with empty.connection() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_every_check_of_the_models_is_in_the_migrated_database(empty: Database) -> None:
    migrations.upgrade(empty)
    with empty.connection() as connection:
        found = set(connection.scalars(text("SELECT conname FROM pg_constraint WHERE contype = 'c'")))
    declared = {
        str(constraint.name)
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    }
    assert declared
    assert declared <= found


def test_every_foreign_key_is_indexed(empty: Database) -> None:
    migrations.upgrade(empty)
    with empty.connection() as connection:
        inspector = inspect(connection)
        for table in Base.metadata.tables:
            indexed = [index["column_names"][0] for index in inspector.get_indexes(table)]
            indexed += [unique["column_names"][0] for unique in inspector.get_unique_constraints(table)]
            for key in inspector.get_foreign_keys(table):
                assert key["constrained_columns"][0] in indexed, (table, key["name"])


def test_accounts_that_exist_at_the_upgrade_count_as_proved(empty: Database) -> None:
    """Else the policies that name them would lose their other channels and their quiet hours."""
    run(empty, command.upgrade, "20261123")
    with empty.transaction() as session:
        session.execute(text("INSERT INTO users (email, hashed_password) VALUES ('ada@example.com', '')"))
    run(empty, command.upgrade, "head")
    with empty.transaction() as session:
        assert session.scalar(text("SELECT is_address_proved FROM users")) is True


def test_processes_that_start_at_once_migrate_once(new_database: Callable[..., str]) -> None:
    url = new_database()
    environment = os.environ | {"DATABASE_URL": url}
    command_line = [sys.executable, "-m", "app", "migrate"]
    started = [subprocess.Popen(command_line, cwd=migrations.ALEMBIC_INI.parent, env=environment) for _ in range(3)]
    try:
        assert [process.wait(180) for process in started] == [0, 0, 0]
    finally:
        for process in started:
            process.kill()
            process.wait()
    database = connect(url, pool_size=1)
    assert tables(database) == set(Base.metadata.tables)
    database.dispose()


def test_a_schema_that_is_behind_is_refused_with_what_is_missing(empty: Database) -> None:
    run(empty, command.upgrade, "20240818")
    with pytest.raises(ConfigurationError, match=r"20240820, 20240819.*alembic upgrade head"):
        migrations.require_current(empty)


def test_a_schema_that_is_newer_than_the_code_is_served(empty: Database) -> None:
    migrations.upgrade(empty)
    with empty.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '20990101'"))
    migrations.require_current(empty)
    migrations.upgrade(empty)


LEFT_OVER = "ix_incidents_status_created_at_id"


def test_an_index_whose_building_was_interrupted_is_built_again(empty: Database) -> None:
    run(empty, command.upgrade, "20261128_c1")
    with empty.connection() as found:
        connection = found.execution_options(isolation_level="AUTOCOMMIT")
        twice = "INSERT INTO incidents (title, severity, service) VALUES ('a', 'low', 'b'), ('a', 'low', 'b')"
        connection.execute(text(twice))
        with pytest.raises(IntegrityError):
            connection.execute(text(f"CREATE UNIQUE INDEX CONCURRENTLY {LEFT_OVER} ON incidents (title)"))
    assert invalid_indexes(empty) == [LEFT_OVER]
    migrations.upgrade(empty)
    assert invalid_indexes(empty) == []
    with empty.connection() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def invalid_indexes(database: Database) -> list[str]:
    with database.connection() as connection:
        query = "SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid WHERE NOT indisvalid"
        return list(connection.scalars(text(query)))


def test_nobody_waits_to_write_while_indexes_are_built(empty: Database) -> None:
    """A transaction that began before keeps them from being finished."""
    run(empty, command.upgrade, "20261128_c1")
    opening = text("INSERT INTO incidents (title, severity, service) VALUES ('a', 'low', 'b')")
    with ThreadPoolExecutor(1) as threads:
        with empty.transaction() as before:
            before.execute(opening)
            migrating = threads.submit(migrations.upgrade, empty)
            wait_until(lambda: waiting(empty) == 1, seconds=30)
            with empty.transaction() as meanwhile:
                meanwhile.execute(text("SET LOCAL lock_timeout = '1ms'"))
                meanwhile.execute(opening)
            assert not migrating.done()
        migrating.result(60)
    migrations.require_current(empty)


def test_the_service_gets_its_limits_back_after_the_migration(new_database: Callable[..., str]) -> None:
    database = connect(new_database(), pool_size=1)
    limits = "SELECT current_setting('lock_timeout'), current_setting('statement_timeout')"
    with database.connection() as connection:
        before = connection.execute(text(limits)).one()
    migrations.upgrade(database)
    with database.connection() as connection:
        assert connection.execute(text(limits)).one() == before == ("10s", "1min")
    database.dispose()


OLD_ENDS = """
    INSERT INTO notifications
        (recipient, channel, address, kind, subject, body, status, last_error, accepted_at, bundle_id, idempotency_key)
    VALUES
        ('waiting', 'email', 'a', 'page', '', '', 'pending', NULL, NULL, NULL, gen_random_uuid()),
        ('accepted', 'email', 'a', 'page', '', '', 'accepted', NULL, now(), NULL, gen_random_uuid()),
        ('acknowledged', 'email', 'a', 'page', '', '', 'cancelled', 'try later', NULL, NULL, gen_random_uuid()),
        ('deactivated', 'email', 'a', 'page', '', '', 'cancelled', 'The recipient''s account was deactivated.', NULL,
         NULL, gen_random_uuid()),
        ('refused', 'email', 'a', 'bundle', '', '', 'dead', 'no such user', NULL, NULL, gen_random_uuid()),
        ('failing', 'email', 'a', 'page', '', '', 'dead', 'try later', NULL, NULL, gen_random_uuid()),
        ('lost', 'sms', '1', 'page', '', '', 'dead', 'Twilio reports that it is undelivered.', now(), NULL,
         gen_random_uuid());
    INSERT INTO notifications
        (recipient, channel, address, kind, subject, body, status, last_error, bundle_id, idempotency_key)
    SELECT 'named', channel, address, 'page', '', '', 'dead', 'no such user', id, gen_random_uuid()
    FROM notifications WHERE recipient = 'refused';
    INSERT INTO notification_attempts (notification_id, at, outcome, latency_ms)
    SELECT id, now(), outcome, 1 FROM notifications CROSS JOIN LATERAL
        (VALUES ('retry'), (CASE WHEN recipient = 'refused' THEN 'dead' ELSE 'retry' END)) tried(outcome)
    WHERE recipient IN ('refused', 'failing');
"""


def test_old_messages_say_why_they_ended(empty: Database) -> None:
    run(empty, command.upgrade, "20261123")
    with empty.transaction() as session:
        session.execute(text(OLD_ENDS))
    run(empty, command.upgrade, "20261128")
    with empty.transaction() as session:
        rows = session.execute(text("SELECT recipient, end_reason FROM notifications")).all()
        reasons = {row.recipient: row.end_reason for row in rows}
    assert reasons == {
        "waiting": None,
        "accepted": None,
        "acknowledged": "not_needed",
        "deactivated": "recipient_deactivated",
        "refused": "refused",
        "named": "refused",
        "failing": "gave_up",
        "lost": "undelivered",
    }
