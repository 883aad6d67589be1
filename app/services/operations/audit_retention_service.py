"""Removes from the audit log what must not be kept: its oldest entries, and what it says about a person."""

from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from app.core.audit_actions import AuditAction
from app.crud import crud_audit, crud_audit_chain
from app.services import audit_service
from app.services.operations.audit_chain import Head
from app.services.operations.audit_chain_service import name_of

log = structlog.get_logger()

BATCH = 10_000  # entries that one transaction deletes
PERSONAL = ("user", "preference")  # the types of objects that are a person's own


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the chain begins, and how many links lie before it."""

    head: Head
    links: int


def set_checkpoint(session: Session, before: datetime) -> Checkpoint | None:
    """Let the chain begin after the entries that are older than a time. None if there are none.

    The entry that records it names the checkpoint, so nobody else can move it unseen. `prune` deletes what lies before.
    """
    crud_audit_chain.lock_pruning(session)
    last = crud_audit_chain.checkpoint(session)
    link = crud_audit_chain.last_before(session, before)
    if link is None or (last is not None and link.seq <= last.seq):
        return None
    pruned = Checkpoint(Head(link.seq, bytes(link.hash)), link.seq - (last.seq if last is not None else 0))
    crud_audit_chain.add_checkpoint(session, link)
    changes = {"before": (None, before), "entries": (pruned.links, 0)}
    audit_service.record(session, AuditAction.AUDIT_PRUNED, "audit", name_of(pruned.head), changes=changes)
    log.info("audit_pruned", seq=pruned.head.seq, entries=pruned.links)
    return pruned


def prune(session: Session) -> int:
    """Delete the next batch of what lies before the checkpoint. Returns how many entries; 0 if nothing is left."""
    crud_audit_chain.lock_pruning(session)
    checkpoint = crud_audit_chain.checkpoint(session)
    return 0 if checkpoint is None else crud_audit_chain.delete_through(session, checkpoint.seq, limit=BATCH)


def erase(session: Session, user_id: int) -> int:
    """Delete what the log says about a user, and where their requests came from. Returns how many values.

    The entries stay, with the digests of these values.
    """
    erased = crud_audit.erase(session, user_id, PERSONAL)
    changes = {"values": (erased, 0)}
    audit_service.record(session, AuditAction.AUDIT_ERASED, "audit", f"user {user_id}", changes=changes)
    log.info("audit_erased", user_id=user_id, values=erased)
    return erased
