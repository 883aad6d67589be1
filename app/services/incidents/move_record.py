"""Decides what a move leaves in the timeline, and how the person who acknowledges an incident takes it."""

from dataclasses import dataclass
from typing import Any

from app.core.vocabulary import TimelineEventType
from app.services.incidents.incident import Move, MoveRequest, Transition

RESPONDER = "responder"
PAST_TENSE = {
    Move.ACKNOWLEDGE: TimelineEventType.ACKNOWLEDGED,
    Move.RESOLVE: TimelineEventType.RESOLVED,
    Move.SNOOZE: TimelineEventType.SNOOZED,
    Move.REOPEN: TimelineEventType.REOPENED,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What the timeline says of a change."""

    event_type: TimelineEventType
    description: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Taking:
    """How a person takes an incident: who owns it from then on, and whether the person becomes an assignee."""

    owner_id: int
    is_new_assignee: bool
    entry: Entry | None


def entry_of_move(wanted: MoveRequest, step: Transition, because: str = "") -> Entry:
    """The entry of one of the moves that people are offered. `because` ends its sentence."""
    data: dict[str, Any] = {"from": step.before.status, "to": step.after.status}
    if wanted.snoozed_until is not None:
        data["until"] = wanted.snoozed_until.isoformat()
    happened = PAST_TENSE[wanted.move]
    return Entry(happened, f"Incident {happened}{because}.", data)


def entry_of_assignment(user_id: int, name: str, role: str) -> Entry:
    """The entry of a new assignee, or of a new role."""
    data = {"user_id_assigned": user_id, "user_name_assigned": name, "role": role}
    return Entry(TimelineEventType.ASSIGNED, f"Assigned {name} as {role}.", data)


def taking(user_id: int, name: str, *, owner_id: int | None, is_assigned: bool) -> Taking:
    """The person becomes an assignee unless they are one already, and the owner if there is none."""
    owned_by = user_id if owner_id is None else owner_id
    if not is_assigned:
        return Taking(owned_by, is_new_assignee=True, entry=entry_of_assignment(user_id, name, RESPONDER))
    if owner_id is not None:
        return Taking(owned_by, is_new_assignee=False, entry=None)
    changes = {"assigned_to": {"from": None, "to": user_id}}
    said = f"Changed assigned_to. The owner is now {name}."
    return Taking(owned_by, is_new_assignee=False, entry=Entry(TimelineEventType.UPDATED, said, {"changes": changes}))
