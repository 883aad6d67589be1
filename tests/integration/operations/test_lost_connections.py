"""Connections of the pool that the server has closed are replaced before anybody uses them."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session

from app.db.session import Database, connect

PID = text("SELECT pg_backend_pid()")


@pytest.fixture
def pool(own_url: str) -> Iterator[Database]:
    """A database with one connection, which is open."""
    database = connect(own_url, pool_size=1)
    yield database
    database.dispose()


def _pid(session: Session) -> int:
    return int(session.execute(PID).scalar_one())


@pytest.mark.parametrize("way", ["transaction", "reading"])
def test_a_connection_that_the_server_closed_is_replaced(pool: Database, own_database: Database, way: str) -> None:
    with pool.transaction() as session:
        closed = _pid(session)
    with own_database.transaction() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": closed})
    with getattr(pool, way)() as session:
        assert _pid(session) != closed


def test_an_open_connection_is_used_again(pool: Database) -> None:
    with pool.transaction() as session:
        first = _pid(session)
    with pool.reading() as session:
        assert _pid(session) == first


def test_a_read_begins_no_transaction(pool: Database) -> None:
    with pool.reading() as session:
        own = [session.execute(text("SELECT statement_timestamp() = now()")).scalar_one() for _ in range(2)]
        assert own == [True, True]  # each statement is a transaction of its own


def test_a_write_after_a_read_is_undone_when_it_fails(pool: Database) -> None:
    with pool.reading() as session:
        session.execute(PID)
    with pytest.raises(DataError), pool.transaction() as session:
        session.execute(text("CREATE TABLE undone (); SELECT 1 / 0"))
    with pool.reading() as session:
        assert session.execute(text("SELECT to_regclass('undone')")).scalar_one() is None


def test_a_read_that_fails_leaves_no_autocommit_behind(pool: Database) -> None:
    with pytest.raises(DataError), pool.reading() as session:
        session.execute(text("SELECT 1 / 0"))
    with pool.transaction() as session:
        began = session.execute(text("SELECT now()")).scalar_one()
        assert session.execute(text("SELECT now()")).scalar_one() == began
