"""The moves between an incident's states, as the contract's table has them."""

import pytest

from app.core.vocabulary import IncidentStatus
from app.services.incidents.incident import MOVES_TO, Move, transition

OPEN, ACKNOWLEDGED = IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED
SNOOZED, RESOLVED = IncidentStatus.SNOOZED, IncidentStatus.RESOLVED
ALL_MOVES = [Move.ACKNOWLEDGE, Move.RESOLVE, Move.SNOOZE, Move.REOPEN]

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


def test_the_table_is_complete() -> None:
    assert set(TABLE) == set(IncidentStatus)
    assert set(ALL_MOVES) == set(Move)


@pytest.mark.parametrize(("state", "move", "to"), CASES)
def test_a_move_leads_where_the_contract_says(state: IncidentStatus, move: Move, to: IncidentStatus | None) -> None:
    assert transition(state, move).to is to


@pytest.mark.parametrize(("state", "move", "to"), CASES)
def test_only_a_repeated_move_is_a_no_op_and_a_snooze_never_is(
    state: IncidentStatus, move: Move, to: IncidentStatus | None
) -> None:
    assert transition(state, move).is_no_op == (to is state and move is not Move.SNOOZE)


@pytest.mark.parametrize(("state", "move", "_to"), CASES)
def test_what_is_possible_is_every_move_that_would_change_something(
    state: IncidentStatus, move: Move, _to: IncidentStatus | None
) -> None:
    assert set(transition(state, move).possible) == POSSIBLE[state]


@pytest.mark.parametrize("status", IncidentStatus)
def test_the_move_to_a_status_leads_there_from_wherever_it_is_allowed(status: IncidentStatus) -> None:
    if status is SNOOZED:
        assert status not in MOVES_TO  # it needs an end
        return
    reached = {transition(state, MOVES_TO[status]).to for state in IncidentStatus}
    assert reached - {None} == {status}
