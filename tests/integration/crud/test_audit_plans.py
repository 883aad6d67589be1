"""Lists of the audit log read a page of one index, however long the log is."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.crud import crud_audit, crud_audit_chain
from app.crud.clock import now
from app.crud.crud_audit import AuditFilter
from app.crud.time_slice import Place, TimeSlice
from app.db.session import Database, connect
from tests.support.plans import explained

SIZE = 20_000
PAGE = 10
MAX_ROWS = 100
FILL = f"""
    INSERT INTO audit_entries (action, actor_id, object_type, object_id, size, digests, digest, created_at)
    SELECT CASE WHEN n % 100 = 0 THEN 'policy.updated' ELSE 'login.succeeded' END, n % 500,
           CASE WHEN n % 100 = 0 THEN 'policy' ELSE 'user' END, (n % 500)::text, 10, '{{}}', '',
           now() - n * interval '1 minute'
    FROM generate_series(1, {SIZE}) n
"""
LISTS: dict[str, tuple[dict[str, Any], str]] = {
    "all": ({}, "ix_audit_entries_created_at_id"),
    "an actor": ({"actor_id": 7}, "actor_id"),
    "nobody": ({"actor_id": 999}, "actor_id"),
    "a rare action": ({"action": "policy.updated"}, "action"),
    "a common action": ({"action": "login.succeeded"}, "action"),
    "an action that never was": ({"action": "policy.deleted"}, "action"),
    "a type": ({"object_type": "policy"}, "object_type"),
    "an object": ({"object_type": "user", "object_id": "7"}, "object_type_object_id"),
    "an object by an actor": ({"object_type": "user", "object_id": "7", "actor_id": 7}, "object_type_object_id"),
}


@pytest.fixture(scope="module", params=["empty", "full"])
def filled(new_database: Callable[..., str], template: str, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A long log, with the statistics of an empty one or with its own."""
    database = connect(new_database(template), pool_size=1)
    with database.transaction() as session:
        session.execute(text("ALTER TABLE audit_entries SET (autovacuum_enabled = off)"))
        session.execute(text("ANALYZE audit_entries"))
        session.execute(text(FILL))
    if request.param == "full":
        with database.transaction() as session:
            session.execute(text("ANALYZE"))
    yield database
    database.dispose()


@pytest.fixture
def at(filled: Database) -> datetime:
    with filled.transaction() as session:
        return now(session)


@pytest.mark.parametrize("is_bounded", [False, True])
@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_entries_reads_a_page_of_an_index(
    filled: Database, at: datetime, name: str, is_bounded: bool
) -> None:
    fields, index = LISTS[name]
    times: dict[str, Any] = {"after": at - timedelta(days=9), "before": at - timedelta(days=5)} if is_bounded else {}
    part = TimeSlice(PAGE, before=Place(at - timedelta(days=6), 5)) if is_bounded else TimeSlice(PAGE)
    with filled.session() as session, explained(filled) as plans:
        crud_audit.slice(session, AuditFilter(**fields, **times), part)
        session.rollback()
    [plan] = plans
    assert not plan.scanned
    assert plan.rows <= MAX_ROWS
    assert any(index in found for found in plan.indexes), plan.indexes


def test_the_head_is_one_row(filled: Database) -> None:
    with filled.session() as session, explained(filled) as plans:
        crud_audit_chain.head(session)
        session.rollback()
    [plan] = plans
    assert plan.rows <= 1
