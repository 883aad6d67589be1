"""How the reasons for a page or for none are worded: what each sentence names, not its every word."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.core.vocabulary import DeliveryStatus
from app.services.escalation import ConditionResult
from app.services.explain import why_reasons
from app.services.explain.why_reasons import SKIPPED_BECAUSE, Place, Reason, Sent, Stop, clock
from tests.support.wording import assert_reads_well

AT = datetime(2026, 1, 20, 10, 30, tzinfo=UTC)
LATER = AT + timedelta(minutes=1)
CLOCK, LATER_CLOCK = "2026-01-20 10:30:00 UTC", "2026-01-20 10:31:00 UTC"
PLACE = Place(7, "Night", 1)
STOP = Stop("acknowledged", AT, "Ann")
SENT = Sent(
    notification_id=3,
    channel="sms",
    status=DeliveryStatus.PENDING,
    is_held=False,
    is_bundled=False,
    is_deferred=False,
    attempts=0,
    error=None,
    created_at=AT,
    accepted_at=None,
    delivered_at=None,
    ended_at=None,
    next_attempt_at=LATER,
    who="Ada",
)
ACCEPTED, DELIVERED, DEAD = DeliveryStatus.ACCEPTED, DeliveryStatus.DELIVERED, DeliveryStatus.DEAD
CANCELLED, RETRY, SENDING = DeliveryStatus.CANCELLED, DeliveryStatus.RETRY, DeliveryStatus.SENDING


def first(stop: Stop | None = None, **known: Any) -> Reason:
    return why_reasons.of_page(replace(SENT, **known), stop)[0]


@pytest.mark.parametrize(
    ("known", "code", "at", "parts"),
    [
        ({"status": DELIVERED, "delivered_at": LATER, "accepted_at": AT}, "delivered", LATER, [LATER_CLOCK]),
        ({"status": DELIVERED, "accepted_at": LATER}, "delivered", LATER, [LATER_CLOCK]),
        ({"status": DELIVERED}, "delivered", AT, [CLOCK]),
        ({"status": ACCEPTED, "accepted_at": LATER}, "accepted", LATER, [LATER_CLOCK]),
        ({"status": ACCEPTED}, "accepted", AT, [CLOCK]),
        ({"status": DEAD, "error": "HTTP 500.", "ended_at": LATER}, "failed", LATER, [": HTTP 500."]),
        ({"status": DEAD, "ended_at": LATER}, "failed", LATER, [": no "]),
        ({"status": CANCELLED, "error": "Gone.", "ended_at": LATER}, "cancelled", LATER, [": Gone."]),
        ({"status": CANCELLED, "ended_at": LATER}, "cancelled", LATER, [": the incident"]),
        ({"status": SENDING}, "sending", None, []),
        ({"status": RETRY, "attempts": 1, "error": "Busy."}, "retrying", LATER, ["once", LATER_CLOCK, ": Busy."]),
        ({"status": RETRY, "attempts": 3}, "retrying", LATER, ["3 times", LATER_CLOCK, ": not "]),
        ({"status": RETRY, "attempts": 1, "next_attempt_at": None}, "retrying", None, ["once: "]),
        ({"status": RETRY, "is_deferred": True}, "waiting", LATER, ["provider"]),
        ({"is_deferred": True, "is_held": True}, "waiting", LATER, ["provider"]),
        ({"is_held": True}, "held", LATER, ["several"]),
        ({"is_held": True, "next_attempt_at": AT}, "waiting", AT, ["about to"]),
        ({"is_held": True, "next_attempt_at": None}, "waiting", None, ["about to"]),
        ({}, "waiting", LATER, ["about to"]),
    ],
)
def test_a_page_says_how_it_stands(known: dict[str, Any], code: str, at: datetime | None, parts: list[str]) -> None:
    reason = first(**known)
    assert (reason.code, reason.at, reason.channel, reason.notification_id) == (code, at, "sms", 3)
    assert reason.detail == known.get("error")
    for part in ("Ada", "SMS", *parts):
        assert part in reason.sentence
    assert reason.sentence.endswith(".")
    assert ".." not in reason.sentence
    assert_reads_well(reason.sentence)


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        (STOP, f"acknowledged at {CLOCK} by Ann"),
        (Stop("resolved", None, "Ann"), "resolved by Ann"),
        (Stop("snoozed", AT, None), f"snoozed at {CLOCK}"),
    ],
)
def test_a_cancelled_page_and_a_stopped_step_name_who_stopped_them(stop: Stop, said: str) -> None:
    assert first(stop, status=CANCELLED).sentence.endswith(f" {said}.")
    stopped = why_reasons.of_stopped(PLACE, stop)
    assert stopped.sentence.endswith(f" {said}.")
    assert (stopped.code, stopped.at, stopped.policy_id, stopped.step) == ("stopped", stop.at, 7, 1)


@pytest.mark.parametrize(
    ("known", "code", "parts"),
    [
        ({"tried_before": "push"}, "fell_back", ["SMS", "push"]),
        ({"is_last_resort": True}, "nobody_else", ["Ada", "administrator", "nobody else"]),
        ({"is_last_resort": True, "is_unmatched": True}, "no_policy_matched", ["Ada", "administrator", "policy"]),
        ({"is_bundled": True}, "bundled", ["SMS"]),
    ],
)
def test_a_page_says_why_it_came_this_way(known: dict[str, Any], code: str, parts: list[str]) -> None:
    [_, reason] = why_reasons.of_page(replace(SENT, created_at=AT, **known), None)
    assert (reason.code, reason.at, reason.channel, reason.notification_id) == (code, AT, "sms", 3)
    assert reason.detail == known.get("tried_before")
    for part in parts:
        assert part in reason.sentence
    assert_reads_well(reason.sentence)


def test_a_page_without_a_special_way_has_one_reason() -> None:
    assert len(why_reasons.of_page(replace(SENT, is_unmatched=True), None)) == 1


@pytest.mark.parametrize(("channel", "by"), [("sms", "Ada by SMS: "), (None, "Ada: ")])
def test_a_step_that_left_out_a_person_says_when_and_why(channel: str | None, by: str) -> None:
    reason = why_reasons.of_skip(PLACE, channel, "quiet", AT, "Ada")
    assert reason == Reason("skipped", reason.sentence, AT, channel, "quiet", 7, 1)
    for part in ("Step 2 of “Night”", CLOCK, by, SKIPPED_BECAUSE["quiet"]):
        assert part in reason.sentence
    assert_reads_well(reason.sentence)


def test_a_reason_that_has_no_sentence_yet_is_named_as_it_is() -> None:
    sentence = why_reasons.of_skip(PLACE, "sms", "vanished", AT).sentence
    assert sentence.endswith(" this person by SMS: vanished.")


@pytest.mark.parametrize(
    ("channel", "skipped", "code", "ending"),
    [
        ("sms", None, "not_due", "by SMS."),
        ("sms", "quiet", "would_skip", f"by SMS: {SKIPPED_BECAUSE['quiet']}."),
        (None, "not_active", "would_skip", f"page: {SKIPPED_BECAUSE['not_active']}."),
        (None, None, "not_due", f"page: {SKIPPED_BECAUSE['no_channel']}."),
    ],
)
def test_a_step_to_come_says_when_it_is_due_and_how_it_would_page(
    channel: str | None, skipped: str | None, code: str, ending: str
) -> None:
    reason = why_reasons.of_upcoming(PLACE, AT, channel, skipped)
    assert reason == Reason(code, reason.sentence, AT, channel, skipped, 7, 1)
    assert reason.sentence.startswith("Step 2 of “Night” ")
    assert reason.sentence.endswith(ending)
    assert CLOCK in reason.sentence
    assert_reads_well(reason.sentence)


@pytest.mark.parametrize(("channel", "by"), [("sms", " by SMS: "), (None, " paged: ")])
def test_an_administrator_who_was_not_reached_either_is_told_why(channel: str | None, by: str) -> None:
    reason = why_reasons.of_unreachable(channel, "no_address", AT)
    assert reason == Reason("skipped", reason.sentence, AT, channel, "no_address")
    for part in (CLOCK, by, SKIPPED_BECAUSE["no_address"]):
        assert part in reason.sentence
    assert_reads_well(reason.sentence)


def test_a_step_that_failed_says_when_it_is_tried_again() -> None:
    reason = why_reasons.of_quarantined(PLACE, AT)
    assert reason == Reason("quarantined", reason.sentence, AT, policy_id=7, step=1)
    assert "Step 2 of “Night”" in reason.sentence
    assert CLOCK in reason.sentence


def test_a_step_of_a_policy_that_is_off_says_so() -> None:
    reason = why_reasons.of_ended(PLACE)
    assert reason == Reason("stopped", reason.sentence, policy_id=7, step=1)
    assert "Step 2 of “Night”" in reason.sentence


SEVERITY = ConditionResult("severity", ("critical", "high"), "low", holds=False)
SERVICE = ConditionResult("service", ("db",), "db", holds=True)
ASSIGNED = ConditionResult("assigned", (True,), False, holds=False)
TEAM = ConditionResult("metadata.team", (["a", "b"], []), None, holds=False)


@pytest.mark.parametrize(
    ("conditions", "parts"),
    [
        ([SEVERITY, SERVICE], ["severity is low", "critical or high"]),
        ([SEVERITY, ASSIGNED], ["severity is low", "assigned is false", " true."]),
        ([TEAM], ["metadata.team is absent", " or empty."]),
        ([replace(TEAM, found="EU West")], ["metadata.team is EU West"]),
    ],
)
def test_a_policy_that_does_not_match_names_what_is_and_what_it_wants(
    conditions: list[ConditionResult], parts: list[str]
) -> None:
    reason = why_reasons.of_mismatch(7, "Night", conditions)
    assert reason == Reason("policy_mismatch", reason.sentence, policy_id=7)
    assert reason.sentence == why_reasons.mismatch("Night", conditions)
    for part in ("“Night”", *parts):
        assert part in reason.sentence
    assert "service" not in reason.sentence
    assert_reads_well(reason.sentence)


def test_a_policy_that_no_longer_matches_says_if_its_escalation_goes_on() -> None:
    over, going_on = (why_reasons.mismatch("Night", [SEVERITY], is_running=running) for running in (False, True))
    assert going_on.startswith(over)
    assert why_reasons.mismatch("Night", [SEVERITY]) == over
    assert "escalation" in going_on.removeprefix(over)
    assert_reads_well(going_on)


def test_a_policy_that_matches_says_when_a_failed_step_is_tried_again() -> None:
    matching, failing = why_reasons.match("Night", None), why_reasons.match("Night", AT)
    assert "“Night” matches." in matching
    assert failing.startswith(matching)
    assert CLOCK in failing.removeprefix(matching)
    assert CLOCK not in matching


@pytest.mark.parametrize(
    ("reason", "code", "part"),
    [
        (why_reasons.of_admin, "last_resort", "administrator"),
        (why_reasons.of_stranger, "no_account", "account"),
        (why_reasons.of_unnamed, "not_named", "policy"),
    ],
)
def test_who_is_not_concerned_yet_is_told_why(reason: Any, code: str, part: str) -> None:
    found = reason()
    assert found == Reason(code, found.sentence)
    assert part in found.sentence
    assert found.sentence.endswith(".")
    assert_reads_well(found.sentence)


def test_a_time_is_shown_to_the_second_in_utc() -> None:
    assert clock(AT + timedelta(seconds=5, microseconds=7)) == "2026-01-20 10:30:05 UTC"
