"""What every event makes of a message in every state."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.core.vocabulary import DeliveryStatus, EndReason, NotificationKind
from app.services.delivery.transition import DEACTIVATED, ERASED, Changes, Event, EventType, State, apply

AT = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
BEFORE, LATER = AT - timedelta(minutes=5), AT + timedelta(minutes=5)
TOKEN = UUID(int=1)
EVENT = Event(
    EventType.CLAIMED, until=LATER, lease_token=TOKEN, error="busy", provider_id="id", first_attempt_at=BEFORE
)
PAGE = State(DeliveryStatus.PENDING, NotificationKind.PAGE)
STATES = {
    "throttled": replace(PAGE, is_throttled=True),
    "pending": PAGE,
    "bundled": replace(PAGE, is_bundled=True),
    "sending": replace(PAGE, status=DeliveryStatus.SENDING, attempt=1),
    "arrived": replace(PAGE, status=DeliveryStatus.SENDING, attempt=1, delivered_at=BEFORE),  # and sending
    "retry": replace(PAGE, status=DeliveryStatus.RETRY, attempt=1, first_attempt_at=BEFORE),
    "accepted": replace(PAGE, status=DeliveryStatus.ACCEPTED, attempt=1, accepted_at=BEFORE),
    "delivered": replace(PAGE, status=DeliveryStatus.DELIVERED, attempt=1, accepted_at=BEFORE, delivered_at=BEFORE),
    "dead": replace(PAGE, status=DeliveryStatus.DEAD, attempt=1),
    "cancelled": replace(PAGE, status=DeliveryStatus.CANCELLED, attempt=1),
}
# The status after the event; "same": the status stays and something else changes; "-": nothing changes.
TABLE = """
                    throttled pending   bundled   sending   arrived   retry     accepted  delivered dead      cancelled
throttled           same      -         -         -         -         -         -         -         -         -
released            same      -         -         -         -         -         -         -         -         -
bundled             same      -         -         -         -         -         -         -         -         -
claimed             -         sending   -         -         -         sending   -         -         -         -
renewed             -         -         -         same      same      -         -         -         -         -
given_back          -         -         -         pending   delivered -         -         -         -         -
brought_forward     -         same      -         -         -         same      -         -         -         -
lease_expired       -         -         -         retry     delivered -         -         -         -         -
cut_off             -         -         dead      dead      delivered -         -         -         -         -
accepted            -         -         accepted  accepted  delivered -         -         -         -         -
failed              -         -         -         retry     delivered -         -         -         -         -
refused             -         -         dead      dead      delivered -         -         -         -         -
gave_up             -         -         dead      dead      delivered -         -         -         -         -
not_needed          -         -         cancelled cancelled delivered -         -         -         -         -
deactivated         -         -         cancelled cancelled delivered -         -         -         -         -
reported_delivered  delivered delivered delivered same      -         delivered delivered -         -         -
reported_lost       dead      dead      dead      dead      -         dead      dead      -         -         -
fallback_done       same      same      same      same      same      same      same      same      same      same
fallback_postponed  same      same      same      same      same      same      same      same      same      same
"""


def rows() -> Iterator[tuple[str, EventType, str]]:
    header, *lines = TABLE.strip("\n").splitlines()
    for line in lines:
        event, *cells = line.split()
        for state, cell in zip(header.split(), cells, strict=True):
            yield state, EventType(event), cell


def changed(state: State, event_type: EventType, **fields: Any) -> dict[str, Any]:
    return dict(apply(state, replace(EVENT, type=event_type, **fields), AT).columns)


def test_the_table_has_every_state_and_every_event() -> None:
    assert {(state, event) for state, event, _ in rows()} == {(s, e) for s in STATES for e in EventType}
    assert {state.status for state in STATES.values()} == set(DeliveryStatus)


@pytest.mark.parametrize(("state", "event", "after"), list(rows()))
def test_an_event_makes_of_a_state(state: str, event: EventType, after: str) -> None:
    columns = changed(STATES[state], event)
    found = str(columns["status"]) if "status" in columns else ("same" if columns else "-")
    assert found == after


@pytest.mark.parametrize("kind", NotificationKind)
@pytest.mark.parametrize("event", EventType)
@pytest.mark.parametrize("state", STATES.values(), ids=list(STATES))
def test_what_holds_of_every_change(state: State, event: EventType, kind: NotificationKind) -> None:
    state = replace(state, kind=kind)
    changes = apply(state, replace(EVENT, type=event), AT)
    columns = dict(changes.columns)
    status = columns.get("status")
    has_ended = status is not None and status.has_ended
    assert changes.erases_text == (has_ended and kind.is_secret)
    assert changes.values() == {**columns, **(ERASED if changes.erases_text else {})}
    if status is not None and status.has_ended:
        assert columns["ended_at"] is not None
        assert (columns["lease_token"], columns["lease_until"]) == (None, None)
        assert (columns.get("end_reason") is not None) == status.is_lost
        is_to_follow = status.is_lost and kind.is_page and event is not EventType.NOT_NEEDED
        assert columns["fallback_at"] == (AT if is_to_follow else None)
    elif status is not None:
        assert (columns["lease_token"] is not None) == (status is DeliveryStatus.SENDING)


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (EventType.CUT_OFF, EndReason.GAVE_UP),
        (EventType.GAVE_UP, EndReason.GAVE_UP),
        (EventType.REFUSED, EndReason.REFUSED),
        (EventType.NOT_NEEDED, EndReason.NOT_NEEDED),
        (EventType.DEACTIVATED, EndReason.RECIPIENT_DEACTIVATED),
        (EventType.REPORTED_LOST, EndReason.UNDELIVERED),
    ],
)
def test_what_will_not_arrive_says_why(event: EventType, reason: EndReason) -> None:
    assert changed(STATES["sending"], event)["end_reason"] is reason


@pytest.mark.parametrize("event", [EventType.CUT_OFF, EventType.GAVE_UP, EventType.REFUSED])
def test_what_is_dead_is_not_due_again(event: EventType) -> None:
    columns = changed(STATES["sending"], event)
    assert ("next_attempt_at", None) in columns.items()


def test_a_claim_counts_the_attempt_and_takes_a_lease() -> None:
    lease = {"lease_token": TOKEN, "lease_until": LATER}
    expected = {"status": DeliveryStatus.SENDING, "attempt": 2, **lease}
    assert changed(STATES["retry"], EventType.CLAIMED) == expected


@pytest.mark.parametrize(("attempt", "status"), [(1, DeliveryStatus.PENDING), (2, DeliveryStatus.RETRY)])
def test_what_is_given_back_is_as_it_was(attempt: int, status: DeliveryStatus) -> None:
    columns = changed(replace(STATES["sending"], attempt=attempt), EventType.GIVEN_BACK)
    assert (columns["status"], columns["attempt"], columns["next_attempt_at"]) == (status, attempt - 1, LATER)
    assert columns["first_attempt_at"] == BEFORE


@pytest.mark.parametrize(("known", "kept"), [(None, {"first_attempt_at": AT}), (BEFORE, {})])
def test_an_expired_lease_makes_the_message_due(known: datetime | None, kept: dict[str, datetime]) -> None:
    columns = changed(replace(STATES["sending"], first_attempt_at=known), EventType.LEASE_EXPIRED)
    assert columns["next_attempt_at"] == AT
    assert {name: value for name, value in columns.items() if name == "first_attempt_at"} == kept


def test_a_failure_is_tried_again_later_and_keeps_its_fallback() -> None:
    columns = changed(STATES["sending"], EventType.FAILED)
    assert (columns["next_attempt_at"], columns["ended_at"], columns["last_error"]) == (LATER, None, "busy")
    assert "fallback_at" not in columns


@pytest.mark.parametrize("event", [EventType.ACCEPTED, EventType.FAILED, EventType.REFUSED, EventType.GAVE_UP])
def test_an_attempt_leaves_its_marks_in_what_was_tried_itself(event: EventType) -> None:
    columns = changed(STATES["sending"], event)
    assert (columns["provider_id"], columns["first_attempt_at"]) == ("id", BEFORE)
    named = changed(STATES["bundled"], event, provider_id=None, first_attempt_at=None)
    assert not {"provider_id", "first_attempt_at"} & named.keys()
    assert named.get("last_error") == (None if event is EventType.FAILED else "busy")


def test_what_is_accepted_is_never_tried_again() -> None:
    columns = changed(STATES["sending"], EventType.ACCEPTED)
    due = columns["next_attempt_at"], columns["fallback_at"], columns["lease_token"]
    assert (columns["accepted_at"], columns["ended_at"], due) == (AT, AT, (None, None, None))


def test_what_an_earlier_attempt_said_stays_with_what_is_not_needed() -> None:
    assert "last_error" not in changed(STATES["sending"], EventType.NOT_NEEDED)
    assert changed(STATES["sending"], EventType.DEACTIVATED)["last_error"] == DEACTIVATED


@pytest.mark.parametrize("event", [EventType.FAILED, EventType.REFUSED, EventType.NOT_NEEDED, EventType.LEASE_EXPIRED])
def test_what_had_arrived_meanwhile_arrived_when_it_was_reported(event: EventType) -> None:
    columns = changed(STATES["arrived"], event)
    times = columns["delivered_at"], columns["accepted_at"], columns["ended_at"]
    assert (times, columns["fallback_at"], columns["end_reason"]) == ((BEFORE, BEFORE, BEFORE), None, None)


def test_what_had_arrived_meanwhile_keeps_when_it_was_accepted() -> None:
    columns = changed(STATES["arrived"], EventType.ACCEPTED)
    assert (columns["accepted_at"], columns["delivered_at"]) == (AT, BEFORE)
    assert changed(STATES["accepted"], EventType.REPORTED_DELIVERED)["accepted_at"] == BEFORE


def test_a_report_before_our_own_record_keeps_only_the_fact() -> None:
    expected = {"delivered_at": AT, "provider_id": "id"}
    assert changed(STATES["sending"], EventType.REPORTED_DELIVERED) == expected


def test_a_report_names_the_message_of_the_provider_unless_it_is_known() -> None:
    known = replace(STATES["accepted"], provider_id="ours")
    assert "provider_id" not in changed(known, EventType.REPORTED_LOST)
    assert changed(STATES["accepted"], EventType.REPORTED_LOST)["provider_id"] == "id"


@pytest.mark.parametrize("state", ["throttled", "pending", "retry", "accepted"])
def test_a_report_leaves_nothing_to_do_of_a_message(state: str) -> None:
    nothing_due = {"is_throttled": False, "next_attempt_at": None, "lease_until": None, "lease_token": None}
    delivered = changed(STATES[state], EventType.REPORTED_DELIVERED)
    lost = changed(STATES[state], EventType.REPORTED_LOST)
    assert nothing_due.items() <= delivered.items()
    assert nothing_due.items() <= lost.items()
    assert (lost["last_error"], delivered["fallback_at"], lost["fallback_at"]) == ("busy", None, AT)


def test_a_token_bucket_moves_only_what_waits_for_it() -> None:
    waiting = STATES["throttled"]
    assert changed(waiting, EventType.THROTTLED) == {"next_attempt_at": LATER}
    assert changed(waiting, EventType.RELEASED) == {"is_throttled": False, "next_attempt_at": LATER}
    assert changed(waiting, EventType.RELEASED, until=None) == {"is_throttled": False}
    assert changed(waiting, EventType.BUNDLED) == {"is_throttled": False, "next_attempt_at": None}


def test_a_renewed_lease_ends_later_and_a_fallback_is_done_or_put_off() -> None:
    assert changed(STATES["sending"], EventType.RENEWED) == {"lease_until": LATER}
    assert changed(STATES["dead"], EventType.FALLBACK_DONE) == {"fallback_at": None}
    assert changed(STATES["dead"], EventType.FALLBACK_POSTPONED) == {"fallback_at": LATER}


def test_no_change_is_the_same_as_no_other() -> None:
    assert apply(STATES["dead"], replace(EVENT, type=EventType.CLAIMED), AT) == Changes()
