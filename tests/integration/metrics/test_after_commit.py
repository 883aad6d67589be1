"""What is done after a commit: once, only if it is committed, and whatever became of savepoints on the way."""

from sqlalchemy import text
from structlog.testing import capture_logs

from app.db.after_commit import after_commit
from app.db.session import Database


def test_a_job_is_done_at_the_commit_and_once(own_database: Database) -> None:
    done: list[int] = []
    with own_database.session() as session:
        session.execute(text("SELECT 1"))
        after_commit(session, lambda: done.append(1))
        assert done == []
        session.commit()
        session.execute(text("SELECT 1"))
        session.commit()
    assert done == [1]


def test_jobs_are_done_in_their_order(own_database: Database) -> None:
    done: list[int] = []
    with own_database.transaction() as session:
        after_commit(session, lambda: done.append(1))
        with session.begin_nested():
            after_commit(session, lambda: done.append(2))
        after_commit(session, lambda: done.append(3))
    assert done == [1, 2, 3]


def test_a_transaction_that_is_rolled_back_does_nothing(own_database: Database) -> None:
    done: list[int] = []
    with own_database.session() as session:
        after_commit(session, lambda: done.append(1))
        session.rollback()
        session.execute(text("SELECT 1"))
        session.commit()
    assert done == []


def test_a_session_that_is_closed_does_nothing(own_database: Database) -> None:
    done: list[int] = []
    with own_database.session() as session:
        session.execute(text("SELECT 1"))
        after_commit(session, lambda: done.append(1))
        session.close()
        session.execute(text("SELECT 1"))
        session.commit()
    assert done == []


def test_a_savepoint_that_is_rolled_back_takes_its_jobs_with_it(own_database: Database) -> None:
    done: list[str] = []
    with own_database.transaction() as session:
        after_commit(session, lambda: done.append("outside"))
        savepoint = session.begin_nested()
        after_commit(session, lambda: done.append("inside"))
        with session.begin_nested():
            after_commit(session, lambda: done.append("deep inside"))
        savepoint.rollback()
        with session.begin_nested():
            after_commit(session, lambda: done.append("another"))
    assert done == ["outside", "another"]


def test_a_savepoint_that_is_released_waits_for_the_commit(own_database: Database) -> None:
    done: list[int] = []
    with own_database.session() as session:
        with session.begin_nested():
            after_commit(session, lambda: done.append(1))
        assert done == []
        session.rollback()
    assert done == []


def test_a_job_that_fails_fails_neither_the_commit_nor_the_others(own_database: Database) -> None:
    done: list[int] = []
    with capture_logs() as logs, own_database.transaction() as session:
        session.execute(text("CREATE TABLE kept ()"))
        after_commit(session, lambda: done.append(1 // 0))
        after_commit(session, lambda: done.append(1))
    assert done == [1]
    assert [line["event"] for line in logs] == ["after_commit_failed"]
    with own_database.transaction() as session:
        assert session.scalar(text("SELECT to_regclass('kept') IS NOT NULL"))
