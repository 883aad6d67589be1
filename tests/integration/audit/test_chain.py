"""The chain in the database: who may not touch it, what shows when somebody does, and how it is pruned."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from structlog.testing import capture_logs

from app.core.audit_actions import AuditAction
from app.core.errors import InvalidInput
from app.crud import crud_audit_chain
from app.db.session import Database
from app.services import audit_service
from app.services.operations import audit_chain_service, audit_retention_service
from app.services.operations.audit_chain import START, Fault, FaultKind, Head, Walked
from app.services.operations.audit_retention_service import Checkpoint
from tests.support.audited import tamper, verify, whole, without_guards, write

REFUSED = {
    "an entry changed": "UPDATE audit_entries SET actor_id = 1",
    "an entry deleted": "DELETE FROM audit_entries",
    "entries emptied": "TRUNCATE audit_entries",
    "a value changed": "UPDATE audit_values SET value = '1'",
    "values emptied": "TRUNCATE audit_values",
    "a link changed": "UPDATE audit_links SET seq = seq + 100",
    "a link deleted": "DELETE FROM audit_links",
    "links emptied": "TRUNCATE audit_links",
    "a checkpoint moved": "UPDATE audit_checkpoints SET seq = 9",
    "a checkpoint deleted": "DELETE FROM audit_checkpoints",
    "checkpoints emptied": "TRUNCATE audit_checkpoints",
}
LINK = "audit_links WHERE seq ="
SWAPPED = "UPDATE audit_links SET seq = CASE seq WHEN 3 THEN 104 ELSE 103 END WHERE seq IN (3, 4)"
TAMPERED: dict[str, tuple[list[str], FaultKind]] = {
    "an entry changed": (["UPDATE audit_entries SET actor_id = 99 WHERE actor_id = 3"], FaultKind.CHANGED),
    "its time changed": (
        ["UPDATE audit_entries SET created_at = created_at - interval '1 microsecond' WHERE actor_id = 3"],
        FaultKind.CHANGED,
    ),
    "a digest changed": (["UPDATE audit_entries SET digests = '{}' WHERE actor_id = 3"], FaultKind.CHANGED),
    "digests that are none": (["UPDATE audit_entries SET digests = '[]' WHERE actor_id = 3"], FaultKind.CHANGED),
    "a value changed": (["UPDATE audit_values SET value = replace(value, '3@', '4@')"], FaultKind.VALUE_CHANGED),
    "an entry removed": (["DELETE FROM audit_entries WHERE actor_id = 3"], FaultKind.REMOVED),
    "a link removed": ([f"DELETE FROM {LINK} 3"], FaultKind.REMOVED),
    "both removed": (["DELETE FROM audit_entries WHERE actor_id = 3", f"DELETE FROM {LINK} 3"], FaultKind.REMOVED),
    "the first removed": (
        ["DELETE FROM audit_entries WHERE actor_id = 1", f"DELETE FROM {LINK} 1"],
        FaultKind.REMOVED,
    ),
    "both removed and renumbered": (
        [
            "DELETE FROM audit_entries WHERE actor_id = 3",
            f"DELETE FROM {LINK} 3",
            "UPDATE audit_links SET seq = seq + 100 WHERE seq > 3",
            "UPDATE audit_links SET seq = seq - 101 WHERE seq > 100",
        ],
        FaultKind.REORDERED,
    ),
    "two reordered": ([SWAPPED, "UPDATE audit_links SET seq = seq - 100 WHERE seq > 100"], FaultKind.REORDERED),
    "the last link removed": ([f"DELETE FROM {LINK} 6"], FaultKind.ADDED),
    "the beginning cut off at a checkpoint": (
        [
            "INSERT INTO audit_checkpoints (seq, hash) SELECT seq, hash FROM audit_links WHERE seq = 3",
            "DELETE FROM audit_entries WHERE id IN (SELECT entry_id FROM audit_links WHERE seq <= 3)",
            "DELETE FROM audit_links WHERE seq <= 3",
        ],
        FaultKind.REMOVED,
    ),
}
CUT = ["DELETE FROM audit_entries WHERE actor_id > 4", "DELETE FROM audit_links WHERE seq > 4"]


@pytest.fixture
def filled(own_database: Database) -> Database:
    """A log of six entries."""
    write(own_database, 6)
    return own_database


@pytest.mark.parametrize("name", REFUSED)
def test_the_database_refuses_to_change_the_log(filled: Database, name: str) -> None:
    with filled.transaction() as session:
        link = crud_audit_chain.link(session, 1)
        assert link is not None
        crud_audit_chain.add_checkpoint(session, link)
    with pytest.raises(ProgrammingError, match="append-only") as refusal, filled.transaction() as session:
        session.execute(text(REFUSED[name]))
    assert getattr(refusal.value.orig, "pgcode", None) == "42501"


@pytest.mark.parametrize("table", ["audit_entries", "audit_links", "audit_checkpoints"])
def test_the_owner_has_no_privilege_to_change_the_log(own_database: Database, table: str) -> None:
    with own_database.transaction() as session:
        owner = session.scalar(text("SELECT tableowner FROM pg_tables WHERE tablename = :table"), {"table": table})
        granted = set(
            session.scalars(
                text(
                    "SELECT privilege_type FROM information_schema.role_table_grants "
                    "WHERE table_name = :table AND grantee = :owner"
                ),
                {"table": table, "owner": owner},
            )
        )
    assert granted >= {"SELECT", "INSERT"}
    assert not granted & {"UPDATE", "DELETE", "TRUNCATE"}


def test_a_log_that_nobody_touched_is_whole(filled: Database) -> None:
    found = whole(filled)
    assert (found.head.seq, found.entries, found.erased) == (6, 6, 0)


def test_an_empty_log_is_whole(own_database: Database) -> None:
    assert whole(own_database) == Walked(Head(0, START))


@pytest.mark.parametrize("name", TAMPERED)
def test_tampering_is_found(filled: Database, name: str) -> None:
    statements, kind = TAMPERED[name]
    tamper(filled, *statements)
    found = verify(filled)
    assert isinstance(found, Fault)
    assert found.kind is kind, found


def test_an_entry_without_a_link_is_found(filled: Database) -> None:
    with without_guards(filled) as session:
        audit_service.record(session, AuditAction.USER_DELETED, "user", 7)
    found = verify(filled)
    assert isinstance(found, Fault)
    assert found.kind is FaultKind.ADDED


def test_a_cut_tail_is_found_by_a_head_that_was_logged(filled: Database) -> None:
    head = whole(filled).head
    assert isinstance(verify(filled, head), Walked)
    tamper(filled, *CUT)
    assert whole(filled).head.seq == 4
    found = verify(filled, head)
    assert isinstance(found, Fault)
    assert found.kind is FaultKind.CUT


def test_a_tail_that_was_replaced_is_found_by_its_head(filled: Database) -> None:
    head = whole(filled).head
    tamper(filled, *CUT)
    write(filled, 5)
    assert whole(filled).head.seq == 9
    found = verify(filled, head)
    assert isinstance(found, Fault)
    assert found.kind is FaultKind.CUT


def test_what_is_rolled_back_leaves_no_gap(own_database: Database) -> None:
    write(own_database, 1)
    with own_database.session() as session:
        audit_service.record(session, AuditAction.USER_UPDATED, "user", 2)
        session.rollback()
    write(own_database, 1)
    assert whole(own_database).head.seq == 2


def test_several_entries_of_a_transaction_keep_their_order(own_database: Database) -> None:
    with own_database.transaction() as session:
        for number in (3, 1, 2):
            audit_service.record(session, AuditAction.USER_UPDATED, "user", number, actor_id=number)
    with own_database.transaction() as session:
        in_order = "SELECT actor_id FROM audit_links l JOIN audit_entries e ON e.id = entry_id ORDER BY seq"
        assert list(session.scalars(text(in_order))) == [3, 1, 2]
    assert whole(own_database).entries == 3


def test_the_head_is_logged_and_a_lost_one_is_an_error(filled: Database) -> None:
    def log(last: Head | None) -> tuple[Head, list[str]]:
        with capture_logs() as logs, filled.transaction() as session:
            head = audit_chain_service.log_head(session, last)
        [line] = [line for line in logs if line["event"] == "audit_chain_head"]
        assert f"{line['seq']}:{line['hash']}" == str(head)
        return head, [line["event"] for line in logs if line["log_level"] == "error"]

    first, errors = log(None)
    assert (first.seq, errors) == (6, [])
    write(filled, 1)
    second, errors = log(first)
    assert (second.seq, errors) == (7, [])
    tamper(filled, "DELETE FROM audit_entries WHERE actor_id > 4", "DELETE FROM audit_links WHERE seq > 4")
    assert log(second)[1] == ["audit_chain_cut"]


def prune(database: Database, before: datetime) -> tuple[Checkpoint | None, int]:
    with database.transaction() as session:
        checkpoint = audit_retention_service.set_checkpoint(session, before)
    with database.transaction() as session:
        return checkpoint, audit_retention_service.prune(session)


def age(database: Database, *actors: int) -> None:
    """Let entries be a year older, before they are linked: a log that was kept for a year."""
    for actor in actors:
        with database.transaction() as session:
            session.execute(text("ALTER TABLE audit_entries ALTER created_at SET DEFAULT now() - interval '1 year'"))
        write_as(database, actor)
        with database.transaction() as session:
            session.execute(text("ALTER TABLE audit_entries ALTER created_at SET DEFAULT now()"))


def write_as(database: Database, actor: int) -> None:
    with database.transaction() as session:
        audit_service.record(session, AuditAction.USER_UPDATED, "user", actor, actor_id=actor)


def test_pruning_leaves_a_checkpoint_that_verifies(own_database: Database) -> None:
    age(own_database, 1, 2, 3)
    write(own_database, 2)
    month_ago = datetime.now(UTC) - timedelta(days=30)
    checkpoint, deleted = prune(own_database, month_ago)
    assert checkpoint is not None
    assert (checkpoint.head.seq, deleted) == (3, 3)
    found = whole(own_database)
    assert (found.head.seq, found.entries) == (6, 3)  # the pruning is an entry itself
    assert isinstance(verify(own_database, found.head), Walked)
    assert prune(own_database, month_ago) == (None, 0)
    with pytest.raises(InvalidInput, match="older than the checkpoint"):
        verify(own_database, Head(2, START))


def test_a_second_pruning_moves_the_checkpoint(own_database: Database) -> None:
    age(own_database, 1, 2)
    prune(own_database, datetime.now(UTC) - timedelta(days=30))
    write(own_database, 2)
    checkpoint, deleted = prune(own_database, datetime.now(UTC) + timedelta(days=1))
    assert checkpoint is not None
    assert (checkpoint.head.seq, deleted) == (5, 3)
    assert whole(own_database).entries == 1


def test_a_pruning_that_was_cut_off_is_whole_and_goes_on(own_database: Database) -> None:
    age(own_database, 1, 2)
    write(own_database, 1)
    month_ago = datetime.now(UTC) - timedelta(days=30)
    with own_database.transaction() as session:
        assert audit_retention_service.set_checkpoint(session, month_ago) is not None
    assert whole(own_database).entries == 2
    assert prune(own_database, month_ago) == (None, 2)
    assert whole(own_database).entries == 2


def test_only_what_lies_before_the_checkpoint_can_be_deleted(own_database: Database) -> None:
    age(own_database, 1)
    write(own_database, 1)
    prune(own_database, datetime.now(UTC) - timedelta(days=30))
    with pytest.raises(ProgrammingError, match="append-only"), own_database.transaction() as session:
        session.execute(text("DELETE FROM audit_entries"))


@pytest.mark.parametrize("seq", [4, 5])
def test_a_checkpoint_that_was_moved_is_found(filled: Database, seq: int) -> None:
    age(filled, 7)
    prune(filled, datetime.now(UTC) + timedelta(days=1))
    tamper(filled, f"UPDATE audit_checkpoints SET seq = {seq}")
    assert isinstance(verify(filled), Fault)


def test_erasing_a_person_keeps_the_chain_and_is_recorded(filled: Database) -> None:
    with filled.transaction() as session:
        assert audit_retention_service.erase(session, 3) == 1
    found = whole(filled)
    assert (found.entries, found.erased) == (7, 1)
    with filled.transaction() as session:
        values = "\n".join(session.scalars(text("SELECT value FROM audit_values")))
        last = session.scalar(text("SELECT action FROM audit_entries ORDER BY id DESC LIMIT 1"))
    assert "3@example.com" not in values
    assert "4@example.com" in values
    assert last == AuditAction.AUDIT_ERASED
