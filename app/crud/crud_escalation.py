"""Escalations: which are due, and where they stand."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload, selectinload

from app.core.vocabulary import EscalationState, IncidentStatus
from app.crud.base import CRUDBase
from app.crud.crud_incident import crud_incident
from app.crud.unindexed import unindexed
from app.models import Escalation, EscalationPolicyVersion, Incident

HEALING = 0x1A5CEA


class CRUDEscalation(CRUDBase[Escalation]):
    def claim_due(self, session: Session, *, at: datetime, limit: int) -> list[tuple[Escalation, Incident]]:
        """Lock due escalations, oldest first: their incidents first, in order of ids, then the rows themselves.

        Locked rows are skipped. Reads about `limit` rows, however many incidents are open.
        """
        oldest = select(Escalation.incident_id).where(Escalation.next_run_at <= at).order_by(Escalation.next_run_at)
        incidents = crud_incident.lock_free(session, oldest, limit=limit)
        due = session.scalars(
            select(Escalation)
            .where(Escalation.incident_id.in_(incidents), unindexed(Escalation.next_run_at <= at))
            .order_by(Escalation.next_run_at, Escalation.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .options(selectinload(Escalation.version).selectinload(EscalationPolicyVersion.policy))
            .execution_options(populate_existing=True)
        ).all()
        return [(row, incidents[row.incident_id]) for row in due]

    def next_due(self, session: Session) -> datetime | None:
        """When the next step is due."""
        query = select(Escalation.next_run_at).where(Escalation.next_run_at.is_not(None))
        return session.scalar(query.order_by(Escalation.next_run_at).limit(1))

    def next_of(self, session: Session, incident_ids: Collection[int]) -> dict[int, datetime]:
        """When the next step of each incident that has one is due."""
        if not incident_ids:
            return {}
        first = select(Escalation.incident_id, func.min(Escalation.next_run_at)).group_by(Escalation.incident_id)
        rows = session.execute(first.where(Escalation.incident_id.in_(incident_ids)))
        return {row[0]: row[1] for row in rows if row[1] is not None}

    def overdue(self, session: Session, *, before: datetime) -> int:
        """How many steps were due before a time and have neither fired nor failed; counted up to 1,000."""
        late = select(Escalation.id).where(Escalation.next_run_at < before, Escalation.quarantined_at.is_(None))
        return session.scalar(select(func.count()).select_from(late.limit(1000).subquery())) or 0

    def has_quarantined(self, session: Session, *, due_before: datetime) -> bool:
        """True if a step failed and its retry is due before a time."""
        query = select(Escalation.id).where(Escalation.quarantined_at.is_not(None), Escalation.next_run_at < due_before)
        return session.scalar(query.limit(1)) is not None

    def has_unreachable(self, session: Session) -> bool:
        """True if a running escalation could reach nobody."""
        query = select(Escalation.id).where(
            Escalation.unreachable_since.is_not(None), Escalation.state == EscalationState.RUNNING
        )
        return session.scalar(query.order_by(Escalation.id).limit(1)) is not None

    def forgotten(self, session: Session, incident_ids: Sequence[int]) -> list[tuple[int, int]]:
        """The incidents and policies of escalations on open incidents that are stopped or run in another cycle."""
        stands_still = (Escalation.state == EscalationState.STOPPED) & (Escalation.cycle == Incident.cycle)
        is_elsewhere = (Escalation.state == EscalationState.RUNNING) & (Escalation.cycle != Incident.cycle)
        query = (
            select(Escalation.incident_id, Escalation.policy_id)
            .join(Incident, Incident.id == Escalation.incident_id)
            .where(Incident.id.in_(incident_ids), Incident.status == IncidentStatus.OPEN, stands_still | is_elsewhere)
            .order_by(Incident.id)
        )
        return [(row.incident_id, row.policy_id) for row in session.execute(query)]

    def try_heal(self, session: Session) -> bool:
        """True if no other worker heals now. Holds until the transaction ends."""
        return bool(session.scalar(select(func.pg_try_advisory_xact_lock(HEALING))))

    def of_incident(self, session: Session, incident_id: int) -> Sequence[Escalation]:
        """All escalations of an incident with their versions. To change them, lock the incident first."""
        return session.scalars(
            select(Escalation)
            .where(Escalation.incident_id == incident_id)
            .order_by(Escalation.policy_id)
            .options(joinedload(Escalation.version).joinedload(EscalationPolicyVersion.policy))
            .execution_options(populate_existing=True)
        ).all()


crud_escalation = CRUDEscalation(Escalation)
