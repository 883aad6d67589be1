"""Checks the audit log's chain, and logs its head."""

from collections.abc import Iterator, Sequence
from typing import Any

import structlog
from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.core.audit_actions import AuditAction
from app.core.errors import InvalidInput
from app.crud import crud_audit_chain
from app.models import AuditCheckpoint
from app.services.audit import Entry, Kept
from app.services.operations.audit_chain import (
    START,
    Fault,
    FaultKind,
    Found,
    Head,
    Walked,
    fault_of_end,
    fault_of_head,
    follow,
)

log = structlog.get_logger()

BATCH = 1000  # entries that are in memory at once


def verify(session: Session, known: Head | None = None) -> Walked | Fault:
    """Walk along the whole chain, or from its checkpoint. Returns where it ends, or the first fault.

    With a head that was logged before, also finds a tail that was cut off. Raises InvalidInput if that head is older
    than the checkpoint. Call it first in its transaction.
    """
    crud_audit_chain.read_unchanging(session)
    checkpoint = crud_audit_chain.checkpoint(session)
    start = Head(0, START) if checkpoint is None else _head(checkpoint)
    if known is not None and known.seq < start.seq:
        raise InvalidInput(
            f"The head {known.seq} is older than the checkpoint {start.seq}: its entry was pruned. Give a later head.",
            pointer="head",
        )
    outcome = _walk(session, Walked(start), checkpoint, known)
    return outcome if isinstance(outcome, Fault) else _fault_of_rest(session, outcome, known) or outcome


def log_head(session: Session, last: Head | None) -> Head:
    """Log the chain's head, and an error if the one logged last is no longer in the chain. Returns the head."""
    if last is not None and not _has(session, last):
        log.error("audit_chain_cut", seq=last.seq, hash=last.hash.hex())
    link = crud_audit_chain.head(session)
    head = Head(0, START) if link is None else Head(link.seq, link.hash)
    log.info("audit_chain_head", seq=head.seq, hash=head.hash.hex())
    return head


def name_of(checkpoint: Head) -> str:
    """The id by which the log names a checkpoint."""
    return f"checkpoint {checkpoint}"


def _walk(session: Session, walked: Walked, checkpoint: AuditCheckpoint | None, known: Head | None) -> Walked | Fault:
    pruning = None if checkpoint is None else (AuditAction.AUDIT_PRUNED, name_of(_head(checkpoint)))
    is_told = pruning is None
    fault = _fault_at(walked.head, known)
    for found in _found(session, after=walked.head.seq):
        outcome = fault or follow(walked, found)
        if isinstance(outcome, Fault):
            return outcome
        walked = outcome
        fault = _fault_at(walked.head, known)
        is_told = is_told or (found.entry is not None and (found.entry.action, found.entry.object_id) == pruning)
    if fault is not None:
        return fault
    if not is_told:
        return Fault(FaultKind.REMOVED, "the chain begins at a checkpoint that no entry tells of: entries were removed")
    return walked


def _fault_at(head: Head, known: Head | None) -> Fault | None:
    return fault_of_head(known, head.hash) if known is not None and known.seq == head.seq else None


def _fault_of_rest(session: Session, walked: Walked, known: Head | None) -> Fault | None:
    unlinked = crud_audit_chain.unlinked(session)
    if unlinked is not None:
        return Fault(FaultKind.ADDED, f"entry {unlinked} is not in the chain: its link was removed, or it was added")
    return fault_of_end(walked, known)


def _found(session: Session, *, after: int) -> Iterator[Found]:
    for rows in crud_audit_chain.batches(session, after=after, size=BATCH):
        values = crud_audit_chain.values(session, [row.entry_id for row in rows])
        for row in rows:
            yield Found(
                seq=row.seq,
                entry_id=row.entry_id,
                content=bytes(row.content),
                hash=bytes(row.hash),
                entry=None if row.id is None else _entry(row),
                at=row.created_at,
                values=_kept(values[row.entry_id]),
            )


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        action=row.action,
        actor_id=row.actor_id,
        api_key_id=row.api_key_id,
        session_id=None if row.session_id is None else str(row.session_id),
        request_id=row.request_id,
        object_type=row.object_type,
        object_id=row.object_id,
        size=row.size,
        digests=row.digests if isinstance(row.digests, dict) else {},
    )


def _kept(rows: Sequence[Row[Any]]) -> dict[str, Kept]:
    return {row.name: Kept(bytes(row.salt), row.value) for row in rows}


def _head(checkpoint: AuditCheckpoint) -> Head:
    return Head(checkpoint.seq, bytes(checkpoint.hash))


def _has(session: Session, head: Head) -> bool:
    """True if a head is in the chain, or was pruned."""
    checkpoint = crud_audit_chain.checkpoint(session)
    if checkpoint is not None and checkpoint.seq >= head.seq:
        return True
    link = crud_audit_chain.link(session, head.seq)
    return head.seq == 0 or (link is not None and link.hash == head.hash)
