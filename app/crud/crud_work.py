"""Whether there is anything to do for a worker: one statement in place of all those that would find nothing."""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, String, bindparam, exists, select
from sqlalchemy.orm import Session

from app.core.vocabulary import DeliveryStatus, IncidentStatus
from app.crud.channels import channels_of
from app.crud.clock import NOW_COLUMN
from app.crud.crud_notification import WAITING
from app.models import (
    BreakerReset,
    Escalation,
    EscalationPolicy,
    Incident,
    Notification,
    PasswordRecovery,
    StatusUpdate,
)


class CRUDWork:
    def is_due_on(self, session: Session, channel: str) -> bool:
        """True if a message, a throttled page or a status update is due on a channel."""
        return bool(session.scalar(_due_on_channel(), {"channel": channel}))

    def is_waiting_elsewhere(self, session: Session, channels: Collection[str]) -> bool:
        """True if a message waits on a channel that is none of these."""
        ready, throttled = WAITING & ~Notification.is_throttled, Notification.is_throttled  # each has its index
        return not (channels_of(session, ready) | channels_of(session, throttled)).issubset(channels)

    def first_due(self, session: Session, channels: Collection[str]) -> datetime | None:
        """When the oldest of the messages that wait on these channels was or will be due."""
        firsts = [session.scalar(_first_on_channel(), {"channel": channel}) for channel in channels]
        return min((first for first in firsts if first is not None), default=None)

    def parts_due(self, session: Session, *, followed_reset: int) -> set[str]:
        """The parts of the plan, by their names, for which something is due, and `resets`.

        `followed_reset` is the last reset of circuit breakers that this worker has followed.
        """
        found = session.execute(_due_in_plan(), {"followed_reset": followed_reset}).mappings().one()
        return {str(name) for name, is_due in found.items() if is_due}


@cache
def _due_on_channel() -> Select[tuple[bool]]:
    channel = bindparam("channel", type_=String)
    mine = (Notification.channel == channel) & (Notification.next_attempt_at <= NOW_COLUMN)
    updates = (StatusUpdate.channel == channel) & StatusUpdate.ended_at.is_(None) & (StatusUpdate.due_at <= NOW_COLUMN)
    return select(
        exists().where(WAITING, ~Notification.is_throttled, mine)
        | exists().where(Notification.is_throttled, mine)
        | exists().where(updates)
    )


@cache
def _first_on_channel() -> Select[datetime | None]:
    mine = Notification.channel == bindparam("channel", type_=String)
    due_at = Notification.next_attempt_at
    return select(due_at).where(WAITING, ~Notification.is_throttled, mine).order_by(due_at).limit(1)


@cache
def _due_in_plan() -> Select[Any]:
    parts: dict[str, tuple[ColumnElement[bool], ...]] = {
        "resets": (BreakerReset.id > bindparam("followed_reset", type_=Integer),),
        "snoozes_ended": (Incident.status == IncidentStatus.SNOOZED, Incident.snoozed_until <= NOW_COLUMN),
        "steps_taken": (Escalation.next_run_at <= NOW_COLUMN,),
        "policy_rollout": (EscalationPolicy.rollout_after.is_not(None),),
        "unmatched_taken": (Incident.unmatched_due_at <= NOW_COLUMN,),
        "leases_released": (Notification.status == DeliveryStatus.SENDING, Notification.lease_until <= NOW_COLUMN),
        "fell_back": (Notification.fallback_at <= NOW_COLUMN,),
        "healed": (Incident.status == IncidentStatus.OPEN,),
        "recoveries_answered": (PasswordRecovery.id.is_not(None),),
    }
    asked: list[Any] = [exists().where(*of).label(name) for name, of in parts.items()]
    return select(*asked)


crud_work = CRUDWork()
