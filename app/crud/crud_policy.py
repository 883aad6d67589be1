"""Policies and their versions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Select, func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.core.vocabulary import EscalationState
from app.crud.base import CRUDBase
from app.crud.locks import wait_briefly
from app.crud.pagination import Page, Slice, sliced
from app.db.session import is_contended
from app.models import Escalation, EscalationPolicy, EscalationPolicyVersion

READING_POLICIES = 0x1A5CE5
KEPT = EscalationPolicy.deleted_at.is_(None)
IS_CURRENT = (EscalationPolicy.id == EscalationPolicyVersion.policy_id) & (
    EscalationPolicy.version == EscalationPolicyVersion.version
)
FINGERPRINT = text(
    "SELECT pg_advisory_xact_lock_shared(:key); "
    "SELECT coalesce(hashtextextended(string_agg(concat_ws(' ', id, xmin, ctid, updated_at), ',' ORDER BY id), 0), 0) "
    "FROM escalation_policies WHERE is_active AND deleted_at IS NULL"
).bindparams(key=READING_POLICIES)
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
    """Policies. Methods leave out deleted policies unless they say otherwise."""

    def get(self, session: Session, id_: int) -> EscalationPolicy | None:
        return session.scalar(select(EscalationPolicy).where(EscalationPolicy.id == id_, KEPT))

    def get_for_update(self, session: Session, id_: int) -> EscalationPolicy | None:
        return session.scalar(
            select(EscalationPolicy).where(EscalationPolicy.id == id_, KEPT).with_for_update(key_share=True)
        )

    def slice(self, session: Session, part: Slice) -> Page[EscalationPolicy]:
        return part.read_objects(session, _listing())

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

    def escalating(self, session: Session, incident_id: int, cycle: int) -> Sequence[ActivePolicy]:
        """The active policies that escalate an incident in a cycle, in the versions they began with."""
        query = (
            ACTIVE_POLICY.join_from(EscalationPolicy, EscalationPolicyVersion)
            .join(Escalation, Escalation.version_id == EscalationPolicyVersion.id)
            .where(Escalation.incident_id == incident_id, Escalation.cycle == cycle)
            .where(Escalation.state != EscalationState.ENDED, EscalationPolicy.is_active, KEPT)
        )
        return [ActivePolicy(*row) for row in session.execute(query)]

    def name(self, session: Session, policy_id: int) -> str:
        """A policy's name, also of a deleted one."""
        return session.get_one(EscalationPolicy, policy_id).name

    def fingerprint_until_the_end(self, session: Session) -> int:
        """A hash that differs once a policy has changed. `wait_for_readers` waits until this transaction has ended.

        The place and the transaction of a row's newest version differ after each change. Two statements in one round
        trip: the second one sees what was committed before the lock was taken.
        """
        fingerprint: int = session.execute(FINGERPRINT).scalar_one()
        return fingerprint

    def wait_for_readers(self, session: Session) -> bool:
        """True once every transaction that may have read the policies before now has ended.

        The next statement sees what they wrote, and later readers see the policies as they are now. False if one of
        them does not end soon: new readers queue behind this, so it waits only briefly.
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

    def claim_rolling_out(self, session: Session, *, excluding: Collection[int]) -> EscalationPolicy | None:
        """A policy, perhaps deleted, whose change has not reached every incident yet."""
        return session.scalar(
            select(EscalationPolicy)
            .where(EscalationPolicy.rollout_after.is_not(None), EscalationPolicy.id.not_in(excluding))
            .order_by(EscalationPolicy.id)
            .limit(1)
            .with_for_update(key_share=True, skip_locked=True)
        )


@cache
def _listing() -> Select[Any]:
    of = EscalationPolicy
    wide = (of.description, of.runbook_url, of.conditions, of.steps)
    return sliced(select(of).where(KEPT), of.id, *wide, newest_first=False)


crud_policy = CRUDPolicy(EscalationPolicy)
crud_policy_version = CRUDBase(EscalationPolicyVersion)
