"""Decides how an incident may move between its states, and how a move changes its times, cycle and severity."""

from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.core.vocabulary import IncidentStatus, Severity

OPEN, ACKNOWLEDGED = IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED
SNOOZED, RESOLVED = IncidentStatus.SNOOZED, IncidentStatus.RESOLVED

MAX_POLICY_CYCLES = 5


class Move(StrEnum):
    """The moves of an incident. People are offered the first four."""

    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"
    SNOOZE = "snooze"
    REOPEN = "reopen"
    END_SNOOZE = "end_snooze"  # its time is up, or somebody escalates the incident
    RAISE_SEVERITY = "raise_severity"  # a worse alert came: the person who acknowledged or snoozed did not know
    CHANGE_SEVERITY = "change_severity"  # a person or a policy sets it


OFFERED = (Move.ACKNOWLEDGE, Move.RESOLVE, Move.SNOOZE, Move.REOPEN)

UNRESOLVED = {
    Move.ACKNOWLEDGE: ACKNOWLEDGED,
    Move.RESOLVE: RESOLVED,
    Move.SNOOZE: SNOOZED,
    Move.REOPEN: OPEN,
    Move.RAISE_SEVERITY: OPEN,
}
DESTINATIONS: dict[IncidentStatus, dict[Move, IncidentStatus]] = {
    OPEN: {**UNRESOLVED, Move.CHANGE_SEVERITY: OPEN},
    ACKNOWLEDGED: {**UNRESOLVED, Move.CHANGE_SEVERITY: ACKNOWLEDGED},
    SNOOZED: {**UNRESOLVED, Move.CHANGE_SEVERITY: SNOOZED, Move.END_SNOOZE: OPEN},
    RESOLVED: {Move.RESOLVE: RESOLVED, Move.REOPEN: OPEN, Move.CHANGE_SEVERITY: RESOLVED},
}

# The move that leads to a status. Snoozing is not here: it needs an end.
MOVES_TO = {ACKNOWLEDGED: Move.ACKNOWLEDGE, RESOLVED: Move.RESOLVE, OPEN: Move.REOPEN}


@dataclass(frozen=True, slots=True)
class State:
    """The part of an incident that only moves change. The columns have the same names.

    Pages of an earlier cycle are void. `policy_cycles` counts the cycles that policies have started since the last
    move by a person or an alert.
    """

    status: IncidentStatus
    severity: Severity
    cycle: int = 1
    policy_cycles: int = 0
    acknowledged_at: datetime | None = None
    resolved_at: datetime | None = None
    snoozed_until: datetime | None = None

    def changes_to(self, other: "State") -> dict[str, Any]:
        """The fields that differ in the other state, with its values."""
        both = ((f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return {name: new for name, old, new in both if new != old}


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """A move and when it is made. A snooze has an end; a change of severity names the new one."""

    move: Move
    at: datetime
    snoozed_until: datetime | None = None
    severity: Severity | None = None
    is_by_policy: bool = False


class Refusal(StrEnum):
    """Why a move is refused."""

    NOT_POSSIBLE = "not_possible"  # not from this status
    CYCLE_LIMIT = "cycle_limit"  # policies have reopened it too often


@dataclass(frozen=True, slots=True)
class Transition:
    """The result of a move. `after` equals `before` if it changes nothing; `possible` are the moves allowed instead."""

    before: State
    after: State
    possible: tuple[Move, ...]
    refusal: Refusal | None = None
    is_no_op: bool = False

    @property
    def begins_cycle(self) -> bool:
        return self.after.cycle > self.before.cycle

    @property
    def is_first_acknowledgement(self) -> bool:
        """True if nobody has acknowledged the incident before. In later cycles that is not known."""
        is_new = self.before.acknowledged_at is None and self.after.acknowledged_at is not None
        return is_new and self.before.cycle == 1

    @property
    def is_resolution(self) -> bool:
        return self.after.status is RESOLVED and self.before.status is not RESOLVED


def transition(state: State, wanted: MoveRequest) -> Transition:
    """Apply a move. Repeating one changes nothing but the end of a snooze. A resolved incident can only be reopened.

    Reopening starts a new cycle. Policies that react to each other would never stop: after MAX_POLICY_CYCLES they
    cannot move the incident any more, until a person or an alert does.
    """
    destinations = DESTINATIONS[state.status]
    to = destinations.get(wanted.move)
    offered = [m for m in OFFERED if m in destinations]
    possible = tuple(m for m in offered if destinations[m] is not state.status or m is Move.SNOOZE)
    if to is None:
        return Transition(state, state, possible, Refusal.NOT_POSSIBLE)
    if _changes_nothing(state, wanted, to):
        return Transition(state, state, possible, is_no_op=True)
    if wanted.is_by_policy and state.policy_cycles >= MAX_POLICY_CYCLES:
        return Transition(state, state, possible, Refusal.CYCLE_LIMIT)
    return Transition(state, _after(state, wanted, to), possible)


def _changes_nothing(state: State, wanted: MoveRequest, to: IncidentStatus) -> bool:
    match wanted.move:
        case Move.SNOOZE:
            return False
        case Move.CHANGE_SEVERITY:
            return wanted.severity == state.severity
        case Move.RAISE_SEVERITY:
            return wanted.severity is None or not wanted.severity.outranks(state.severity)
        case _:
            return to is state.status


def _after(state: State, wanted: MoveRequest, to: IncidentStatus) -> State:
    if wanted.move is Move.CHANGE_SEVERITY:
        return replace(state, severity=wanted.severity or state.severity)
    begins_cycle = to is OPEN and state.status is not OPEN
    return State(
        status=to,
        severity=wanted.severity or state.severity,
        cycle=state.cycle + begins_cycle,
        policy_cycles=_policy_cycles(state, wanted, begins_cycle=begins_cycle),
        acknowledged_at=_acknowledged_at(state, wanted, to),
        resolved_at=wanted.at if to is RESOLVED else None,
        snoozed_until=wanted.snoozed_until if to is SNOOZED else None,
    )


def _acknowledged_at(state: State, wanted: MoveRequest, to: IncidentStatus) -> datetime | None:
    """When somebody first acknowledged the incident in its cycle. Later acknowledgements do not change it."""
    if to is OPEN:
        return None
    return state.acknowledged_at or (wanted.at if to is ACKNOWLEDGED else None)


def _policy_cycles(state: State, wanted: MoveRequest, *, begins_cycle: bool) -> int:
    """The count of policy cycles. The end of a snooze leaves it as it is: nobody caused it."""
    if wanted.move is Move.END_SNOOZE:
        return state.policy_cycles
    return state.policy_cycles + begins_cycle if wanted.is_by_policy else 0
