"""What the deciders answer in full: every field, and both sides of every limit."""

from datetime import UTC, datetime, timedelta

import pytest

from app.core.channel import Outcome
from app.core.vocabulary import AttemptOutcome, DeliveryStatus
from app.services.contacts.address import masked
from app.services.delivery.breaker import SMTP_CLOSES, Breakers, says_later
from app.services.delivery.retry import GIVE_UP_AFTER, FollowUp, follow_up
from app.services.escalation import (
    QUARANTINE_FIRST,
    QUARANTINE_LONGEST,
    UNREACHABLE_RETRY,
    ConditionResult,
    Decision,
    Facts,
    Position,
    delays_of,
    evaluate,
    explain,
    glob_matches,
    quarantine_until,
    retry_unreachable,
)
from app.services.notification import (
    ChannelChoice,
    Page,
    Person,
    Skip,
    next_channel,
    route,
)

NOW = datetime(2026, 1, 20, 10, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FACTS = Facts(severity="high", service="payments", source="api", is_assigned=False, metadata={"host": {"cpu": 5.0}})
ALL = frozenset({"email", "sms", "slack"})
MAIL = ChannelChoice("email", is_enabled=True, address="a@b.co")
SMS = ChannelChoice("sms", is_enabled=True, address="+15550100")
NOWHERE = ChannelChoice("slack", is_enabled=True, address=None)


def person(*choices: ChannelChoice) -> Person:
    return Person("user:1", 1, choices)


def test_each_condition_is_explained_with_what_it_wants_and_found() -> None:
    conditions = {"severity": ["critical", "high"], "service": "web", "assigned": False, "metadata.host.cpu": "5"}
    assert explain(conditions, FACTS) == (
        ConditionResult("severity", ("critical", "high"), "high", True),
        ConditionResult("service", ("web",), "payments", False),
        ConditionResult("assigned", (False,), False, True),
        ConditionResult("metadata.host.cpu", ("5",), 5.0, True),
    )
    assert explain({}, FACTS) == ()


@pytest.mark.parametrize(
    ("found", "wanted", "holds"),
    [
        (5.0, 5, True),
        (5.5, 5, False),
        (5.5, "5.5", True),
        (True, "true", True),
        (None, "none", False),
        ("A", "a", True),
    ],
)
def test_numbers_and_booleans_match_however_they_are_quoted(found: object, wanted: object, holds: bool) -> None:
    facts = Facts("high", "payments", "api", is_assigned=False, metadata={"value": found})
    [result] = explain({"metadata.value": wanted}, facts)
    assert result.holds is holds


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "a-c", False),
        ("a**c", "abc", True),
        ("ab*ba", "aba", False),
        ("a*b*b", "ab", False),
        ("*x*", "axb", True),
        ("*x*y*", "yx", False),
    ],
)
def test_the_parts_of_a_pattern_follow_one_another(pattern: str, text: str, matches: bool) -> None:
    assert glob_matches(pattern, text) is matches


def test_the_delays_of_steps_are_minutes_and_may_be_broken() -> None:
    steps: list[dict[str, float]] = [{"delay_minutes": 0}, {"delay_minutes": 2.5}]
    assert delays_of(steps) == [timedelta(), timedelta(seconds=150)]


def test_a_decision_says_where_the_escalation_stands_and_whether_a_loop_ended() -> None:
    delays = [timedelta(), 5 * MINUTE]
    assert evaluate(delays, Position(2, 0, 1), NOW) == Decision(
        Position(2, 1, 1), NOW + 5 * MINUTE, ends_loop=False, pages_again=True
    )
    assert evaluate(delays, Position(2, 1, 1), NOW) == Decision(Position(3, 0, 0), NOW + 5 * MINUTE, ends_loop=True)
    assert evaluate(delays, Position(3, 1, 0), NOW) == Decision(Position(3, 1, 0), None, ends_loop=True)
    again = Decision(Position(4, 0, 7), NOW + UNREACHABLE_RETRY, ends_loop=True)
    assert retry_unreachable(Position(3, 1, 7), NOW) == again


def test_each_failure_doubles_the_quarantine() -> None:
    waits = [quarantine_until(failures, NOW) - NOW for failures in range(1, 40)]
    assert waits[:4] == [QUARANTINE_FIRST * factor for factor in (1, 2, 4, 8)]
    assert set(waits[12:]) == {QUARANTINE_LONGEST}


def test_a_quiet_channel_after_the_one_that_is_taken_is_not_worth_a_word() -> None:
    quiet = ChannelChoice("email", is_enabled=True, address="a@b.co", is_quiet=True)
    assert route(person(SMS, quiet), None, ALL).skips == ()
    assert route(person(quiet, SMS), None, ALL).skips == (Skip(person(quiet, SMS), "email", "quiet"),)


def test_a_route_names_the_person_the_channel_and_the_address() -> None:
    ada = person(MAIL, SMS, NOWHERE)
    found = route(ada, ["email", "slack"], ALL)
    assert found.pages == (Page(ada, "email", "a@b.co"),)
    assert found.skips == (Skip(ada, "slack", "no_address"),)
    assert route(person(MAIL), ["sms"], ALL).skips == (Skip(person(MAIL), "sms", "no_address"),)


@pytest.mark.parametrize(
    ("choices", "tried", "expected"),
    [
        ((MAIL, SMS), set(), MAIL),
        ((MAIL, SMS), {"email"}, SMS),
        ((MAIL, SMS), {"sms"}, MAIL),
        ((MAIL, SMS), {"email", "sms"}, None),
        ((NOWHERE, SMS), {"email"}, SMS),
        ((NOWHERE,), set(), None),
        ((), set(), None),
    ],
)
def test_the_next_channel_is_the_first_usable_one_not_tried_yet(
    choices: tuple[ChannelChoice, ...], tried: set[str], expected: ChannelChoice | None
) -> None:
    ada = person(*choices)
    page = Page(ada, expected.channel, str(expected.address)) if expected else None
    assert next_channel(ada, ALL, tried) == page


def test_the_next_channel_is_one_that_is_set_up() -> None:
    assert next_channel(person(MAIL, SMS), frozenset({"sms"}), set()) == Page(person(MAIL, SMS), "sms", "+15550100")


def test_a_retry_at_the_very_end_of_the_time_is_still_made() -> None:
    retry = Outcome(AttemptOutcome.RETRY)
    at = NOW + GIVE_UP_AFTER - MINUTE
    last = follow_up(retry, attempt=9, first_attempt_at=NOW, at=at)
    assert last == FollowUp(DeliveryStatus.RETRY, NOW + GIVE_UP_AFTER)
    over = follow_up(retry, attempt=9, first_attempt_at=NOW, at=at + timedelta(microseconds=1))
    assert over == FollowUp(DeliveryStatus.DEAD, None)


@pytest.mark.parametrize(
    ("status_code", "expected"),
    [(None, False), (399, False), (400, True), (429, True), (450, True), (499, True), (500, False), (200, False)],
)
def test_an_answer_about_one_message_says_little_of_its_provider(status_code: int | None, expected: bool) -> None:
    assert says_later(status_code) is expected
    assert not says_later(SMTP_CLOSES)


def test_the_report_says_of_each_provider_whether_it_is_left_alone() -> None:
    breakers = Breakers()
    breakers.record("email", "one", 1, error="e" * 300, at=0)
    for message in range(5):
        breakers.record("email", "two", message, error="busy", at=0)
    assert breakers.report() == {
        "email": {
            "one": {"state": "closed", "failing_messages": 1, "last_error": "e" * 200},
            "two": {"state": "open", "failing_messages": 5, "last_error": "busy"},
        }
    }


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("+15550100", "***00"),
        ("12345", "***45"),
        ("1234", "***"),
        ("a@b@example.com", "a***@example.com"),
        ("https://hooks.example/secret?key=1", "https://hooks.example/***"),
        ("https://[hooks/secret", "***"),
        ("://hooks", "***"),
        ("https:///secret", "***"),
    ],
)
def test_an_address_is_masked_by_its_kind(address: str, shown: str) -> None:
    assert masked(address) == shown
