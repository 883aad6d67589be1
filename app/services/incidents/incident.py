"""Decides how an incident may move between its states."""

from dataclasses import dataclass
from enum import StrEnum

from app.core.vocabulary import IncidentStatus

OPEN, ACKNOWLEDGED = IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED
SNOOZED, RESOLVED = IncidentStatus.SNOOZED, IncidentStatus.RESOLVED


class Move(StrEnum):
    """What somebody, or the service, may want of an incident."""

    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"
    SNOOZE = "snooze"
    REOPEN = "reopen"


@dataclass(frozen=True, slots=True)
class Transition:
    """Where a move leads: `to` is None if it is refused, and `possible` says what could be done instead."""

    to: IncidentStatus | None
    is_no_op: bool
    possible: tuple[Move, ...]


DESTINATIONS = {
    OPEN: {Move.ACKNOWLEDGE: ACKNOWLEDGED, Move.RESOLVE: RESOLVED, Move.SNOOZE: SNOOZED, Move.REOPEN: OPEN},
    ACKNOWLEDGED: {
        Move.ACKNOWLEDGE: ACKNOWLEDGED,
        Move.RESOLVE: RESOLVED,
        Move.SNOOZE: SNOOZED,
        Move.REOPEN: OPEN,
    },
    SNOOZED: {
        Move.ACKNOWLEDGE: ACKNOWLEDGED,
        Move.RESOLVE: RESOLVED,
        Move.SNOOZE: SNOOZED,
        Move.REOPEN: OPEN,
    },
    RESOLVED: {Move.RESOLVE: RESOLVED, Move.REOPEN: OPEN},
}

# The move that leads to a status. Snoozing is not here: it needs an end.
MOVES_TO = {ACKNOWLEDGED: Move.ACKNOWLEDGE, RESOLVED: Move.RESOLVE, OPEN: Move.REOPEN}


def transition(status: IncidentStatus, move: Move) -> Transition:
    """A repeated move changes nothing, except that a snooze may get a new end; a resolved incident only reopens."""
    destinations = DESTINATIONS[status]
    to = destinations.get(move)
    possible = tuple(m for m, destination in destinations.items() if destination != status or m is Move.SNOOZE)
    return Transition(to, is_no_op=to == status and move is not Move.SNOOZE, possible=possible)
