"""Whether paging works: heartbeats of the workers, and the invariant that nothing open is forgotten."""

import os
import socket
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from logging import ERROR, INFO
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy.orm import Session

from app import __version__
from app.core.vocabulary import TimelineEventType
from app.crud import crud_escalation, crud_heartbeat, crud_incident, crud_notification, crud_policy, crud_unaccepted
from app.crud.base import now, wait_briefly
from app.models import Incident
from app.schemas.worker import WorkerRead
from app.services import escalation_service
from app.services.escalation import QUARANTINE_LONGEST
from app.services.timeline_service import record

log = structlog.get_logger()

OVERDUE_AFTER = timedelta(seconds=2)  # two ticks
STUCK_AFTER = timedelta(minutes=2)
LOOKED_AT_IN_A_TICK = 500
ALIVE_WITHIN = timedelta(seconds=30)
FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(slots=True)
class Pulse:
    """Who this worker is, and how far its round over the open incidents has come; what was `held` is seen to first."""

    id: UUID = field(default_factory=uuid4)
    name: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")
    started_at: datetime | None = None
    looked_at: int = 0
    held: set[int] = field(default_factory=set)
    was_overdue: bool = False
    is_different: bool = False


def beat(session: Session, pulse: Pulse, channels: dict[str, Any], set_up: Collection[str]) -> None:
    """Write this worker's heartbeat, and say so if the workers do not have the same channels set up."""
    at = now(session)
    pulse.started_at = pulse.started_at or at
    crud_heartbeat.put(
        session,
        id_=pulse.id,
        name=pulse.name,
        version=__version__,
        started_at=pulse.started_at,
        last_seen_at=at,
        channels=channels,
        set_up=sorted(set_up),
    )
    alive = crud_heartbeat.set_up(session, since=at - ALIVE_WITHIN)
    if (len(alive) > 1) != pulse.is_different:
        pulse.is_different = len(alive) > 1
        each = sorted(map(sorted, alive))
        level = ERROR if pulse.is_different else INFO
        log.log(level, "workers_differ", is_different=pulse.is_different, channels=each)


def served(session: Session, own: Collection[str]) -> set[str]:
    """The channels that this worker or another one alive can send by."""
    return set(own).union(*crud_heartbeat.set_up(session, since=now(session) - ALIVE_WITHIN))


def leave(session: Session, pulse: Pulse) -> None:
    """A worker that ends in good order is missed by nobody."""
    crud_heartbeat.remove(session, pulse.id)


def workers(session: Session) -> list[WorkerRead]:
    """Every worker that was seen lately, and whether it is alive."""
    alive_since = now(session) - ALIVE_WITHIN
    return [
        WorkerRead(
            id=row.id,
            name=row.name,
            version=row.version,
            is_alive=row.last_seen_at > alive_since,
            started_at=row.started_at,
            last_seen_at=row.last_seen_at,
            set_up=row.set_up,
            channels=row.channels,
        )
        for row in crud_heartbeat.all(session)
    ]


def forget_old(session: Session) -> int:
    """Forget the workers that were not seen for a day. Returns how many."""
    return crud_heartbeat.forget(session, before=now(session) - FORGOTTEN_AFTER)


def is_well(session: Session) -> bool:
    """True if no step is late or failed, no message stuck, no fallback failed, nobody missed, and every page taken.

    A page counts as taken once a channel has accepted it, for its person or, in its place, for an administrator.
    """
    at = now(session)
    return not (
        crud_escalation.overdue(session, before=at - OVERDUE_AFTER)
        or crud_escalation.has_quarantined(session, due_before=at + QUARANTINE_LONGEST)
        or crud_escalation.has_unreachable(session)
        or crud_notification.has_postponed_fallback(session, at=at)
        or crud_notification.has_stuck(session, before=at - STUCK_AFTER)
        or crud_unaccepted.exist(session, before=at - STUCK_AFTER)
    )


def heal(session: Session, pulse: Pulse) -> int:
    """Check the invariant: nothing open, matched and unfinished is without a due time. Returns how many were healed.

    What somebody holds is not waited for, but looked at again with the next tick.

    That a running escalation has a due time the database guards; here it is those that stand still on an open
    incident, or run in a cycle that is over. One worker at a time looks at the next open incidents, so that a tick
    costs the same however many there are.
    """
    at = now(session)
    wait_briefly(session)
    _say_overdue(session, pulse, at=at)
    if not crud_escalation.try_heal(session):
        return 0
    window = crud_incident.open_after(session, pulse.looked_at, limit=LOOKED_AT_IN_A_TICK)
    pulse.looked_at = window[-1] if len(window) == LOOKED_AT_IN_A_TICK else 0
    forgotten = crud_escalation.forgotten(session, [*pulse.held, *window])
    free = crud_incident.lock_unheld(session, {incident_id for incident_id, _ in forgotten})
    pulse.held = {incident_id for incident_id, _ in forgotten} - free.keys()
    healed = 0
    for incident_id, policy_id in forgotten:
        if incident_id in free:
            healed += _try_to_begin_again(session, free[incident_id], policy_id, pulse, at=at)
    return healed


def _try_to_begin_again(session: Session, incident: Incident, policy_id: int, pulse: Pulse, *, at: datetime) -> int:
    """None, with an alarm, if it cannot be begun: the others can, and it is looked at again."""
    incident_id = incident.id
    try:
        with session.begin_nested():
            return _begin_again(session, incident, policy_id, at=at)
    except Exception:
        log.exception("healing_failed", incident_id=incident_id, policy_id=policy_id)
        pulse.held.add(incident_id)
        return 0


def _begin_again(session: Session, incident: Incident, policy_id: int, *, at: datetime) -> int:
    policy = next((p for p in crud_policy.active(session) if p.policy_id == policy_id), None)
    if policy is None or (incident.id, policy_id) not in crud_escalation.forgotten(session, [incident.id]):
        return 0
    escalation_service.begin(session, incident, policy, now=at)
    session.flush()
    description = f"The escalation by policy “{policy.name}” had been forgotten and begins now."
    record(session, incident.id, TimelineEventType.ESCALATION_HEALED, description, at=at, policy_id=policy_id)
    log.error("escalation_healed", incident_id=incident.id, policy_id=policy_id)
    return 1


def _say_overdue(session: Session, pulse: Pulse, *, at: datetime) -> None:
    """Alarm once when steps are late, and once when they no longer are."""
    late = crud_escalation.overdue(session, before=at - OVERDUE_AFTER)
    if bool(late) != pulse.was_overdue:
        pulse.was_overdue = bool(late)
        log.log(ERROR if late else INFO, "escalations_overdue", steps=late)
