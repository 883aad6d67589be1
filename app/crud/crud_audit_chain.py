"""The chain over the audit log: reading it in its order, and pruning its beginning."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, select, text
from sqlalchemy.orm import Session

from app.crud.base import affected
from app.models import AuditCheckpoint, AuditEntry, AuditLink, AuditValue

PRUNING = 0x1A5B0A
NO_SYNC = {"synchronize_session": False}
PRUNED = "audit_entries, audit_links"


class CRUDAuditChain:
    """Links of the chain, the entries they lead to, and the checkpoint where the chain begins."""

    def read_unchanging(self, session: Session) -> None:
        """Let this transaction see the database as it is now, whatever is committed meanwhile. Call it first."""
        session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))

    def head(self, session: Session) -> AuditLink | None:
        """The last link."""
        return session.scalar(select(AuditLink).order_by(AuditLink.seq.desc()).limit(1))

    def link(self, session: Session, seq: int) -> AuditLink | None:
        return session.get(AuditLink, seq)

    def checkpoint(self, session: Session) -> AuditCheckpoint | None:
        """The last one."""
        return session.scalar(select(AuditCheckpoint).order_by(AuditCheckpoint.seq.desc()).limit(1))

    def batches(self, session: Session, *, after: int, size: int) -> Iterator[Sequence[Row[Any]]]:
        """The links after one in their order, each with its entry as columns; without an entry, `id` is None."""
        columns = (AuditLink.seq, AuditLink.entry_id, AuditLink.content, AuditLink.hash)
        query = select(*columns, *AuditEntry.__table__.c).join_from(
            AuditLink, AuditEntry, AuditEntry.id == AuditLink.entry_id, isouter=True
        )
        while rows := session.execute(query.where(AuditLink.seq > after).order_by(AuditLink.seq).limit(size)).all():
            yield rows
            after = rows[-1].seq

    def values(self, session: Session, entry_ids: Sequence[int]) -> Mapping[int, Sequence[Row[*tuple[Any, ...]]]]:
        """The values of these entries, with their salts."""
        found: dict[int, list[Row[*tuple[Any, ...]]]] = {id_: [] for id_ in entry_ids}
        query = select(AuditValue.entry_id, AuditValue.name, AuditValue.salt, AuditValue.value)
        for row in session.execute(query.where(AuditValue.entry_id.in_(found))):
            found[row.entry_id].append(row)
        return found

    def unlinked(self, session: Session) -> int | None:
        """The first entry without a link."""
        is_linked = select(AuditLink.seq).where(AuditLink.entry_id == AuditEntry.id).exists()
        return session.scalar(select(AuditEntry.id).where(~is_linked).order_by(AuditEntry.id).limit(1))

    def last_before(self, session: Session, before: datetime) -> AuditLink | None:
        """The last link before the first one whose entry is not older than a time."""
        first = (
            select(func.min(AuditLink.seq))
            .join_from(AuditLink, AuditEntry, AuditEntry.id == AuditLink.entry_id)
            .where(AuditEntry.created_at >= before)
        )
        query = select(AuditLink).order_by(AuditLink.seq.desc()).limit(1)
        end = session.scalar(first)
        return session.scalar(query if end is None else query.where(AuditLink.seq < end))

    def add_checkpoint(self, session: Session, link: AuditLink) -> None:
        """Let the chain begin after this link."""
        session.add(AuditCheckpoint(seq=link.seq, hash=link.hash))
        session.flush()

    def lock_pruning(self, session: Session) -> None:
        """Let one process at a time prune, until the end of the transaction."""
        session.execute(select(func.pg_advisory_xact_lock(PRUNING)))

    def delete_through(self, session: Session, seq: int, *, limit: int) -> int:
        """Delete so many of the oldest entries, up to a link that a checkpoint names. Returns how many links.

        The owner of the tables has taken the privilege to delete from itself, and has it only here.
        """
        oldest = select(AuditLink.seq).where(AuditLink.seq <= seq).order_by(AuditLink.seq).limit(limit).subquery()
        end = session.scalar(select(func.max(oldest.c.seq)))
        if end is None:
            return 0
        gone = select(AuditLink.entry_id).where(AuditLink.seq <= end)
        session.execute(text(f"GRANT DELETE ON {PRUNED} TO CURRENT_USER"))
        session.execute(delete(AuditValue).where(AuditValue.entry_id.in_(gone)), execution_options=NO_SYNC)
        session.execute(delete(AuditEntry).where(AuditEntry.id.in_(gone)), execution_options=NO_SYNC)
        done = affected(session.execute(delete(AuditLink).where(AuditLink.seq <= end), execution_options=NO_SYNC))
        session.execute(text(f"REVOKE DELETE ON {PRUNED} FROM CURRENT_USER"))
        return done


crud_audit_chain = CRUDAuditChain()
