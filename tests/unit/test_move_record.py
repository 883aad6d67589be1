"""What a move leaves in the timeline, and how the person who acknowledges takes the incident."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.core.vocabulary import IncidentStatus, Severity, TimelineEventType
from app.services.incidents.incident import Move, MoveRequest, State, transition
from app.services.incidents.move_record import Entry, Taking, entry_of_assignment, entry_of_move, taking

AT = datetime(2026, 1, 20, 10, 30, tzinfo=UTC)
OPEN = State(IncidentStatus.OPEN, Severity.HIGH)
ANN, BOB = 3, 4
ASSIGNED = Entry(
    TimelineEventType.ASSIGNED,
    "Assigned Ann as responder.",
    {"user_id_assigned": ANN, "user_name_assigned": "Ann", "role": "responder"},
)
OWNS_NOW = Entry(
    TimelineEventType.UPDATED,
    "Changed assigned_to. The owner is now Ann.",
    {"changes": {"assigned_to": {"from": None, "to": ANN}}},
)


@pytest.mark.parametrize(
    ("owner_id", "is_assigned", "expected"),
    [
        (None, False, Taking(ANN, is_new_assignee=True, entry=ASSIGNED)),
        (BOB, False, Taking(BOB, is_new_assignee=True, entry=ASSIGNED)),
        (None, True, Taking(ANN, is_new_assignee=False, entry=OWNS_NOW)),
        (BOB, True, Taking(BOB, is_new_assignee=False, entry=None)),
        (ANN, True, Taking(ANN, is_new_assignee=False, entry=None)),
    ],
)
def test_who_acknowledges_is_assigned_and_owns_what_nobody_owns(
    owner_id: int | None, is_assigned: bool, expected: Taking
) -> None:
    assert taking(ANN, "Ann", owner_id=owner_id, is_assigned=is_assigned) == expected


def test_a_role_is_named_in_its_entry() -> None:
    data = {"user_id_assigned": BOB, "user_name_assigned": "Bob", "role": "lead"}
    assert entry_of_assignment(BOB, "Bob", "lead") == Entry(TimelineEventType.ASSIGNED, "Assigned Bob as lead.", data)


@pytest.mark.parametrize(
    ("move", "because", "event_type", "said", "data"),
    [
        (Move.ACKNOWLEDGE, "", "acknowledged", "Incident acknowledged.", {"to": "acknowledged"}),
        (Move.RESOLVE, " by a link", "resolved", "Incident resolved by a link.", {"to": "resolved"}),
        (
            Move.SNOOZE,
            "",
            "snoozed",
            "Incident snoozed.",
            {"to": "snoozed", "until": "2026-01-20T11:30:00+00:00"},
        ),
    ],
)
def test_a_move_is_told_with_its_states(
    move: Move, because: str, event_type: str, said: str, data: dict[str, Any]
) -> None:
    until = AT + timedelta(hours=1) if move is Move.SNOOZE else None
    wanted = MoveRequest(move, AT, snoozed_until=until)
    entry = entry_of_move(wanted, transition(OPEN, wanted), because)
    assert entry == Entry(TimelineEventType(event_type), said, {"from": "open", **data})


def test_a_move_without_a_reason_says_only_what_happened() -> None:
    wanted = MoveRequest(Move.RESOLVE, AT)
    assert entry_of_move(wanted, transition(OPEN, wanted)).description == "Incident resolved."
