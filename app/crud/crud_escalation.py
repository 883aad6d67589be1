"""Policies, escalations and their events."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, joinedload, selectinload

from app.core.vocabulary import EscalationState, IncidentStatus
from app.crud.base import CRUDBase
from app.crud.crud_incident import crud_incident
from app.crud.locks import wait_briefly
from app.crud.pagination import Slice
from app.db.session import is_contended
from app.models import Escalation, EscalationEvent, EscalationPolicy, EscalationPolicyVersion, Incident

READING_POLICIES = 0x1A5CE5
HEALING = 0x1A5CEA
KEPT = EscalationPolicy.deleted_at.is_(None)
IS_CURRENT = (EscalationPolicy.id == EscalationPolicyVersion.policy_id) & (
    EscalationPolicy.version == EscalationPolicyVersion.version
)
ACTIVE_POLICY = select(
    EscalationPolicy.id,
    EscalationPolicy.name,
    EscalationPolicyVersion.id,
    EscalationPolicyVersion.conditions,
    EscalationPolicyVersion.steps,
    EscalationPolicyVersion.repeat,
)


@dataclass(frozen=True, slots=True)
class ActivePolicy:
    """A policy as it stands now, in the version that a new escalation pins."""

    policy_id: int
    name: str
    version_id: int
    conditions: dict[str, Any]
    steps: list[Any]
    repeat: int


class CRUDPolicy(CRUDBase[EscalationPolicy]):
    """Deleted policies are in no answer here."""

    def get(self, session: Session, id_: int) -> EscalationPolicy | None:
        return session.scalar(select(EscalationPolicy).where(EscalationPolicy.id == id_, KEPT))

    def get_for_update(self, session: Session, id_: int) -> EscalationPolicy | None:
        return session.scalar(
            select(EscalationPolicy).where(EscalationPolicy.id == id_, KEPT).with_for_update(key_share=True)
        )

    def slice(self, session: Session, part: Slice) -> Sequence[EscalationPolicy]:
        query = select(EscalationPolicy).where(KEPT)
        return session.scalars(part.of(query, EscalationPolicy.id, newest_first=False)).all()

    def active(self, session: Session) -> Sequence[ActivePolicy]:
        """The current version of every active policy. Every opening asks this, so it loads no objects."""
        query = (
            ACTIVE_POLICY.join_from(EscalationPolicy, EscalationPolicyVersion, IS_CURRENT)
            .where(EscalationPolicy.is_active, KEPT)
            .order_by(EscalationPolicy.id)
        )
        return [ActivePolicy(*row) for row in session.execute(query)]

    def current(self, session: Session, policy_id: int) -> ActivePolicy:
        """The current version of one policy."""
        query = ACTIVE_POLICY.join_from(EscalationPolicy, EscalationPolicyVersion, IS_CURRENT)
        return ActivePolicy(*session.execute(query.where(EscalationPolicy.id == policy_id)).one())

    def going_on(self, session: Session, incident_id: int, cycle: int) -> Sequence[ActivePolicy]:
        """The active policies that have begun on an incident in a cycle, in the versions with which they did."""
        query = (
            ACTIVE_POLICY.join_from(EscalationPolicy, EscalationPolicyVersion)
            .join(Escalation, Escalation.version_id == EscalationPolicyVersion.id)
            .where(Escalation.incident_id == incident_id, Escalation.cycle == cycle)
            .where(Escalation.state != EscalationState.ENDED, EscalationPolicy.is_active, KEPT)
        )
        return [ActivePolicy(*row) for row in session.execute(query)]

    def name(self, session: Session, policy_id: int) -> str:
        """What a policy is called, also a deleted one."""
        return session.get_one(EscalationPolicy, policy_id).name

    def read_until_the_end(self, session: Session) -> None:
        """Let `wait_for_readers` wait for this transaction, which is about to read the policies."""
        session.execute(select(func.pg_advisory_xact_lock_shared(READING_POLICIES)))

    def wait_for_readers(self, session: Session) -> bool:
        """True when every transaction has ended that may have read the policies before now.

        What they wrote is seen by the next statement; who reads the policies later sees them as they are now. False if
        one of them goes on: new readers wait behind this, so that it does not wait for long.
        """
        savepoint = session.begin_nested()
        try:
            wait_briefly(session)
            session.execute(select(func.pg_advisory_lock(READING_POLICIES)))
            session.execute(select(func.pg_advisory_unlock(READING_POLICIES)))
        except OperationalError as error:
            if not is_contended(error):
                raise
            return False
        finally:
            savepoint.rollback()  # and with it the short timeout
        return True

    def claim_spreading(self, session: Session, *, beside: Collection[int]) -> EscalationPolicy | None:
        """A policy, perhaps deleted, whose change has not yet come to every incident; none of those `beside`."""
        return session.scalar(
            select(EscalationPolicy)
            .where(EscalationPolicy.spread_after.is_not(None), EscalationPolicy.id.not_in(beside))
            .order_by(EscalationPolicy.id)
            .limit(1)
            .with_for_update(key_share=True, skip_locked=True)
        )


class CRUDEscalation(CRUDBase[Escalation]):
    def claim_due(self, session: Session, *, at: datetime, limit: int) -> list[tuple[Escalation, Incident]]:
        """Lock due escalations, oldest first: their incidents first, in order of ids, then the rows themselves.

        Rows that another transaction holds are left to it. Reads of the order of `limit` rows, however many
        incidents are open.
        """
        oldest = select(Escalation.incident_id).where(Escalation.next_run_at <= at).order_by(Escalation.next_run_at)
        incidents = crud_incident.lock_free(session, oldest, limit=limit)
        due = session.scalars(
            select(Escalation)
            .where(Escalation.incident_id.in_(incidents), Escalation.next_run_at <= at)
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

    def overdue(self, session: Session, *, before: datetime) -> int:
        """How many steps were due before a time and have neither fired nor failed; counted up to 1,000."""
        late = select(Escalation.id).where(Escalation.next_run_at < before, Escalation.quarantined_at.is_(None))
        return session.scalar(select(func.count()).select_from(late.limit(1000).subquery())) or 0

    def has_quarantined(self, session: Session, *, due_before: datetime) -> bool:
        """True if a step failed and is to be tried again before a time."""
        query = select(Escalation.id).where(Escalation.quarantined_at.is_not(None), Escalation.next_run_at < due_before)
        return session.scalar(query.limit(1)) is not None

    def has_unreachable(self, session: Session) -> bool:
        """True if an escalation goes on of which nobody could be reached."""
        query = select(Escalation.id).where(
            Escalation.unreachable_since.is_not(None), Escalation.state == EscalationState.RUNNING
        )
        return session.scalar(query.limit(1)) is not None

    def forgotten(self, session: Session, incident_ids: Sequence[int]) -> list[tuple[int, int]]:
        """The incidents and policies of escalations that stand still, or run in another cycle, on open incidents."""
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
        """True for one worker at a time, until its transaction ends."""
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


class CRUDEvent(CRUDBase[EscalationEvent]):
    def slice(self, session: Session, incident_id: int, part: Slice) -> Sequence[EscalationEvent]:
        query = select(EscalationEvent).where(EscalationEvent.incident_id == incident_id)
        return session.scalars(part.of(query, EscalationEvent.id, newest_first=False)).all()

    def of_cycle(self, session: Session, incident_id: int, cycle: int) -> Sequence[EscalationEvent]:
        """Every step that fired in a cycle of an incident, oldest first."""
        query = select(EscalationEvent).filter_by(incident_id=incident_id, cycle=cycle)
        return session.scalars(query.order_by(EscalationEvent.id)).all()

    def has_fired(self, session: Session, row: Escalation) -> bool:
        """True if the step at which an escalation stands has fired in this cycle before, in an earlier loop."""
        same = select(EscalationEvent.id).where(
            EscalationEvent.incident_id == row.incident_id,
            EscalationEvent.policy_id == row.policy_id,
            EscalationEvent.cycle == row.cycle,
            EscalationEvent.step == row.step,
        )
        return session.scalars(same.limit(1)).first() is not None


crud_policy = CRUDPolicy(EscalationPolicy)
crud_policy_version = CRUDBase(EscalationPolicyVersion)
crud_escalation = CRUDEscalation(Escalation)
crud_event = CRUDEvent(EscalationEvent)
