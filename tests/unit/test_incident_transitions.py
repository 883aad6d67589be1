"""The moves between an incident's states, as the contract's table has them, and what each does to the rest."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.core.vocabulary import IncidentStatus, Severity
from app.services.incidents.incident import (
    MAX_POLICY_CYCLES,
    MOVES_TO,
    OFFERED,
    Move,
    MoveRequest,
    Refusal,
    State,
    Transition,
    transition,
)

OPEN, ACKNOWLEDGED = IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED
SNOOZED, RESOLVED = IncidentStatus.SNOOZED, IncidentStatus.RESOLVED
ALL_MOVES = [Move.ACKNOWLEDGE, Move.RESOLVE, Move.SNOOZE, Move.REOPEN]
SEVERITY_MOVES = {Move.RAISE_SEVERITY, Move.CHANGE_SEVERITY}

# Where acknowledge, resolve, snooze and reopen lead. A state that leads to itself is a no-op, None is refused.
TABLE: dict[IncidentStatus, list[IncidentStatus | None]] = {
    OPEN: [ACKNOWLEDGED, RESOLVED, SNOOZED, OPEN],
    ACKNOWLEDGED: [ACKNOWLEDGED, RESOLVED, SNOOZED, OPEN],
    SNOOZED: [ACKNOWLEDGED, RESOLVED, SNOOZED, OPEN],
    RESOLVED: [None, RESOLVED, None, OPEN],
}
CASES = [(state, move, to) for state, row in TABLE.items() for move, to in zip(ALL_MOVES, row, strict=True)]
POSSIBLE = {
    OPEN: {Move.ACKNOWLEDGE, Move.RESOLVE, Move.SNOOZE},
    ACKNOWLEDGED: {Move.RESOLVE, Move.SNOOZE, Move.REOPEN},
    SNOOZED: {Move.ACKNOWLEDGE, Move.RESOLVE, Move.SNOOZE, Move.REOPEN},
    RESOLVED: {Move.REOPEN},
}

BEFORE = datetime(2026, 1, 20, 10, tzinfo=UTC)
AT = BEFORE + timedelta(minutes=5)
UNTIL = AT + timedelta(hours=1)
EARLIER_END = AT + timedelta(minutes=1)
# Each state as it comes about: acknowledged first, snoozed or resolved afterwards.
STATES = {
    OPEN: State(OPEN, Severity.MEDIUM, cycle=3, policy_cycles=2),
    ACKNOWLEDGED: State(ACKNOWLEDGED, Severity.MEDIUM, cycle=3, policy_cycles=2, acknowledged_at=BEFORE),
    SNOOZED: State(
        SNOOZED, Severity.MEDIUM, cycle=3, policy_cycles=2, acknowledged_at=BEFORE, snoozed_until=EARLIER_END
    ),
    RESOLVED: State(RESOLVED, Severity.MEDIUM, cycle=3, policy_cycles=2, acknowledged_at=BEFORE, resolved_at=BEFORE),
}
AGAIN: dict[str, object] = {"status": OPEN, "cycle": 4, "policy_cycles": 0, "acknowledged_at": None}
WORSE: dict[str, object] = {"severity": Severity.HIGH}
REFUSED, NOTHING = "refused", "nothing"
# What changes by each move in each status. A severity move names HIGH.
CHANGES: dict[tuple[IncidentStatus, Move], dict[str, object] | str] = {
    (OPEN, Move.ACKNOWLEDGE): {"status": ACKNOWLEDGED, "acknowledged_at": AT, "policy_cycles": 0},
    (OPEN, Move.RESOLVE): {"status": RESOLVED, "resolved_at": AT, "policy_cycles": 0},
    (OPEN, Move.SNOOZE): {"status": SNOOZED, "snoozed_until": UNTIL, "policy_cycles": 0},
    (OPEN, Move.REOPEN): NOTHING,
    (OPEN, Move.END_SNOOZE): REFUSED,
    (OPEN, Move.RAISE_SEVERITY): {**WORSE, "policy_cycles": 0},
    (OPEN, Move.CHANGE_SEVERITY): WORSE,
    (ACKNOWLEDGED, Move.ACKNOWLEDGE): NOTHING,
    (ACKNOWLEDGED, Move.RESOLVE): {"status": RESOLVED, "resolved_at": AT, "policy_cycles": 0},
    (ACKNOWLEDGED, Move.SNOOZE): {"status": SNOOZED, "snoozed_until": UNTIL, "policy_cycles": 0},
    (ACKNOWLEDGED, Move.REOPEN): AGAIN,
    (ACKNOWLEDGED, Move.END_SNOOZE): REFUSED,
    (ACKNOWLEDGED, Move.RAISE_SEVERITY): {**AGAIN, **WORSE},
    (ACKNOWLEDGED, Move.CHANGE_SEVERITY): WORSE,
    (SNOOZED, Move.ACKNOWLEDGE): {
        "status": ACKNOWLEDGED, "snoozed_until": None, "policy_cycles": 0
    },  # acknowledged_at stays: it is the first acknowledgement of the cycle
    (SNOOZED, Move.RESOLVE): {"status": RESOLVED, "resolved_at": AT, "snoozed_until": None, "policy_cycles": 0},
    (SNOOZED, Move.SNOOZE): {"snoozed_until": UNTIL, "policy_cycles": 0},
    (SNOOZED, Move.REOPEN): {**AGAIN, "snoozed_until": None},
    (SNOOZED, Move.END_SNOOZE): {"status": OPEN, "cycle": 4, "acknowledged_at": None, "snoozed_until": None},
    (SNOOZED, Move.RAISE_SEVERITY): {**AGAIN, **WORSE, "snoozed_until": None},
    (SNOOZED, Move.CHANGE_SEVERITY): WORSE,
    (RESOLVED, Move.ACKNOWLEDGE): REFUSED,
    (RESOLVED, Move.RESOLVE): NOTHING,
    (RESOLVED, Move.SNOOZE): REFUSED,
    (RESOLVED, Move.REOPEN): {**AGAIN, "resolved_at": None},
    (RESOLVED, Move.END_SNOOZE): REFUSED,
    (RESOLVED, Move.RAISE_SEVERITY): REFUSED,
    (RESOLVED, Move.CHANGE_SEVERITY): WORSE,
}  # fmt: skip


def make(state: IncidentStatus | State, move: Move, severity: Severity = Severity.HIGH, **given: bool) -> Transition:
    """One move of a state, with what such a move must name."""
    request = MoveRequest(
        move,
        AT,
        snoozed_until=UNTIL if move is Move.SNOOZE else None,
        severity=severity if move in SEVERITY_MOVES else None,
        **given,
    )
    return transition(state if isinstance(state, State) else STATES[state], request)


def test_the_table_is_complete() -> None:
    assert set(TABLE) == set(IncidentStatus)
    assert set(ALL_MOVES) == set(OFFERED)
    assert set(CHANGES) == {(status, move) for status in IncidentStatus for move in Move}


@pytest.mark.parametrize(("state", "move", "to"), CASES)
def test_a_move_leads_where_the_contract_says(state: IncidentStatus, move: Move, to: IncidentStatus | None) -> None:
    made = make(state, move)
    assert (None if made.refusal else made.after.status) is to


@pytest.mark.parametrize(("state", "move", "to"), CASES)
def test_only_a_repeated_move_is_a_no_op_and_a_snooze_never_is(
    state: IncidentStatus, move: Move, to: IncidentStatus | None
) -> None:
    assert make(state, move).is_no_op == (to is state and move is not Move.SNOOZE)


@pytest.mark.parametrize(("state", "move", "_to"), CASES)
def test_what_is_possible_is_every_move_that_would_change_something(
    state: IncidentStatus, move: Move, _to: IncidentStatus | None
) -> None:
    assert set(make(state, move).possible) == POSSIBLE[state]


@pytest.mark.parametrize("status", IncidentStatus)
def test_the_move_to_a_status_leads_there_from_wherever_it_is_allowed(status: IncidentStatus) -> None:
    if status is SNOOZED:
        assert status not in MOVES_TO  # it needs an end
        return
    made = [make(state, MOVES_TO[status]) for state in IncidentStatus]
    assert {one.after.status for one in made if one.refusal is None} == {status}


@pytest.mark.parametrize(("status", "move"), CHANGES)
def test_a_move_changes_just_what_the_table_says(status: IncidentStatus, move: Move) -> None:
    made, wanted = make(status, move), CHANGES[status, move]
    assert made.before == STATES[status]
    assert (made.refusal is Refusal.NOT_POSSIBLE) == (wanted is REFUSED)
    assert made.is_no_op == (wanted is NOTHING)
    assert made.before.changes_to(made.after) == (wanted if isinstance(wanted, dict) else {})
    assert made.begins_cycle == (isinstance(wanted, dict) and "cycle" in wanted)


@pytest.mark.parametrize(("cycle", "is_first"), [(1, True), (2, False)])
def test_the_first_acknowledgement_is_that_of_the_first_cycle(cycle: int, is_first: bool) -> None:
    fresh = {status: replace(state, cycle=cycle, acknowledged_at=None) for status, state in STATES.items()}
    made = {(status, move): make(fresh[status], move) for status in IncidentStatus for move in Move}
    firsts = {case for case, step in made.items() if step.is_first_acknowledgement}
    assert firsts == ({(OPEN, Move.ACKNOWLEDGE), (SNOOZED, Move.ACKNOWLEDGE)} if is_first else set())
    assert not make(replace(STATES[SNOOZED], cycle=cycle), Move.ACKNOWLEDGE).is_first_acknowledgement


def test_only_resolving_what_is_not_resolved_is_a_resolution() -> None:
    found = {(status, move) for status in IncidentStatus for move in Move if make(status, move).is_resolution}
    assert found == {(status, Move.RESOLVE) for status in (OPEN, ACKNOWLEDGED, SNOOZED)}


@pytest.mark.parametrize("status", [OPEN, ACKNOWLEDGED, SNOOZED])
@pytest.mark.parametrize("severity", [Severity.MEDIUM, Severity.LOW])
def test_only_a_worse_severity_is_raised(status: IncidentStatus, severity: Severity) -> None:
    made = make(status, Move.RAISE_SEVERITY, severity)
    assert (made.is_no_op, made.after) == (True, made.before)


@pytest.mark.parametrize("status", IncidentStatus)
def test_the_severity_may_be_changed_to_a_lower_one_in_any_status(status: IncidentStatus) -> None:
    made = make(status, Move.CHANGE_SEVERITY, Severity.LOW)
    assert made.before.changes_to(made.after) == {"severity": Severity.LOW}
    assert make(status, Move.CHANGE_SEVERITY, Severity.MEDIUM).is_no_op


@pytest.mark.parametrize(
    ("status", "move", "count"),
    [
        (OPEN, Move.ACKNOWLEDGE, 2),
        (ACKNOWLEDGED, Move.REOPEN, 3),
        (ACKNOWLEDGED, Move.RESOLVE, 2),
        (RESOLVED, Move.REOPEN, 3),
    ],
)
def test_policies_cycles_are_counted_and_not_reset(status: IncidentStatus, move: Move, count: int) -> None:
    assert make(status, move, is_by_policy=True).after.policy_cycles == count


@pytest.mark.parametrize("move", [Move.ACKNOWLEDGE, Move.RESOLVE, Move.REOPEN])
@pytest.mark.parametrize("count", [MAX_POLICY_CYCLES - 1, MAX_POLICY_CYCLES, MAX_POLICY_CYCLES + 1])
def test_at_the_limit_policies_move_it_no_more_but_people_do(move: Move, count: int) -> None:
    state = replace(STATES[SNOOZED], policy_cycles=count)
    by_policy = make(state, move, is_by_policy=True)
    assert by_policy.refusal == (Refusal.CYCLE_LIMIT if count >= MAX_POLICY_CYCLES else None)
    assert (by_policy.after == state) == (count >= MAX_POLICY_CYCLES)
    by_hand = make(state, move)
    assert (by_hand.refusal, by_hand.after.policy_cycles) == (None, 0)


def test_a_repeated_move_by_a_policy_is_no_refusal_at_the_limit() -> None:
    state = replace(STATES[OPEN], policy_cycles=MAX_POLICY_CYCLES)
    made = make(state, Move.REOPEN, is_by_policy=True)
    assert (made.refusal, made.is_no_op) == (None, True)


def test_the_end_of_a_snooze_keeps_the_count_of_policies_cycles() -> None:
    state = replace(STATES[SNOOZED], policy_cycles=MAX_POLICY_CYCLES)
    assert make(state, Move.END_SNOOZE).after.policy_cycles == MAX_POLICY_CYCLES


def test_what_policies_may_move_no_more_stays_and_offers_the_same() -> None:
    state = replace(STATES[OPEN], policy_cycles=MAX_POLICY_CYCLES)
    possible = transition(state, MoveRequest(Move.RESOLVE, AT)).possible
    by_policy = transition(state, MoveRequest(Move.RESOLVE, AT, is_by_policy=True))
    assert by_policy == Transition(state, state, possible, Refusal.CYCLE_LIMIT)


@pytest.mark.parametrize("move", [Move.ACKNOWLEDGE, Move.RESOLVE])
def test_only_a_snooze_has_an_end(move: Move) -> None:
    assert transition(STATES[OPEN], MoveRequest(move, AT, snoozed_until=UNTIL)).after.snoozed_until is None
