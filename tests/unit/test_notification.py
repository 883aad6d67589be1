"""By which channel a person is paged, and what follows an attempt."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.core.channel import Outcome
from app.core.vocabulary import AttemptOutcome, DeliveryStatus
from app.services.delivery.retry import GIVE_UP_AFTER, follow_up
from app.services.notification import (
    ChannelChoice,
    Person,
    Route,
    Skip,
    named_by,
    next_channel,
    route,
    update_address,
)

NOW = datetime(2026, 1, 20, 10, 30, tzinfo=UTC)
EMAIL = ChannelChoice("email", is_enabled=True, address="ada@example.com")
SMS = ChannelChoice("sms", is_enabled=True, address="+15550100")
ALL = frozenset({"email", "sms", "slack"})


def person(*choices: ChannelChoice) -> Person:
    return Person("user:1", 1, choices)


@pytest.mark.parametrize(
    ("choices", "named", "set_up", "channels", "skipped"),
    [
        ((EMAIL, SMS), None, ALL, ["email"], {}),
        ((SMS, EMAIL), None, ALL, ["sms"], {}),
        ((EMAIL, SMS), ["sms"], ALL, ["sms"], {}),
        ((EMAIL, SMS), ["email", "sms"], ALL, ["email", "sms"], {}),
        ((EMAIL, SMS), ["sms"], frozenset({"email"}), ["email"], {"sms": "channel_not_set_up"}),
        ((EMAIL, SMS), ["email", "sms"], frozenset({"email"}), ["email"], {"sms": "channel_not_set_up"}),
        ((ChannelChoice("email", False, "a@b.co"), SMS), ["email"], ALL, [], {"email": "disabled_by_recipient"}),
        ((ChannelChoice("email", False, "a@b.co"), SMS), None, ALL, ["sms"], {}),
        ((EMAIL, ChannelChoice("slack", True, None)), ["slack"], ALL, [], {"slack": "no_address"}),
        ((), None, ALL, [], {}),
        ((EMAIL,), ["sms"], ALL, [], {"sms": "no_address"}),
        ((EMAIL,), ["email", "sms"], frozenset({"email"}), ["email"], {}),
    ],
)
def test_named_channels_or_else_the_persons_first_usable_one(
    choices: tuple[ChannelChoice, ...],
    named: list[str] | None,
    set_up: frozenset[str],
    channels: list[str],
    skipped: dict[str, str],
) -> None:
    found = route(person(*choices), named, set_up)
    assert [page.channel for page in found.pages] == channels
    assert {skip.channel: skip.reason for skip in found.skips} == skipped


def test_somebody_who_is_not_active_any_more_is_left_out_by_name() -> None:
    gone = Person("user:1", 1, (EMAIL,), is_active=False)
    assert route(gone, ["email"], ALL) == Route((), (Skip(gone, None, "not_active"),))


def test_an_accepted_message_is_not_tried_again() -> None:
    following = follow_up(Outcome(AttemptOutcome.ACCEPTED), attempt=1, first_attempt_at=NOW, at=NOW)
    assert (following.status, following.next_attempt_at) == (DeliveryStatus.ACCEPTED, None)


def test_a_final_refusal_is_not_tried_again() -> None:
    following = follow_up(Outcome(AttemptOutcome.DEAD), attempt=1, first_attempt_at=NOW, at=NOW)
    assert (following.status, following.next_attempt_at) == (DeliveryStatus.DEAD, None)


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 2), (2, 5), (3, 15), (4, 30), (5, 60), (6, 60), (12, 60)])
def test_retries_come_later_and_later_and_then_every_minute(attempt: int, seconds: int) -> None:
    following = follow_up(Outcome(AttemptOutcome.RETRY), attempt=attempt, first_attempt_at=NOW, at=NOW)
    assert following.next_attempt_at == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(("retry_after", "seconds"), [(30.0, 30), (1.0, 2)])
def test_a_retry_never_comes_sooner_than_the_provider_asks(retry_after: float, seconds: int) -> None:
    outcome = Outcome(AttemptOutcome.RETRY, retry_after_seconds=retry_after)
    following = follow_up(outcome, attempt=1, first_attempt_at=NOW, at=NOW)
    assert following.next_attempt_at == NOW + timedelta(seconds=seconds)


def test_after_a_quarter_of_an_hour_a_message_is_dead() -> None:
    late = NOW + GIVE_UP_AFTER
    following = follow_up(Outcome(AttemptOutcome.RETRY), attempt=9, first_attempt_at=NOW, at=late)
    assert following.status is DeliveryStatus.DEAD


OFF = ChannelChoice("slack", is_enabled=False, address="C1")
NOWHERE = ChannelChoice("push", is_enabled=True, address=None)


@pytest.mark.parametrize(
    ("choices", "tried", "found"),
    [
        ((EMAIL, SMS), (), ("email", "ada@example.com")),
        ((EMAIL, SMS), ("email",), ("sms", "+15550100")),
        ((OFF, NOWHERE, SMS), (), ("sms", "+15550100")),
        ((EMAIL, SMS), ("email", "sms"), None),
        ((), (), None),
    ],
)
def test_the_next_channel_is_the_first_usable_one_not_tried_yet(
    choices: tuple[ChannelChoice, ...], tried: tuple[str, ...], found: tuple[str, str] | None
) -> None:
    page = next_channel(person(*choices), ALL, tried)
    assert (page and (page.channel, page.address)) == found
    assert page is None or page.person == person(*choices)


@pytest.mark.parametrize(
    ("choice", "channel", "set_up", "address"),
    [
        (SMS, "sms", ALL, "+15550100"),
        (SMS, "email", ALL, None),
        (SMS, "sms", frozenset({"email"}), None),
        (OFF, "slack", ALL, None),
        (replace(SMS, has_status_updates=False), "sms", ALL, None),
        (replace(SMS, is_quiet=True), "sms", ALL, None),
    ],
)
def test_a_status_update_follows_a_page_only_where_the_person_wants_it(
    choice: ChannelChoice, channel: str, set_up: frozenset[str], address: str | None
) -> None:
    assert update_address(person(EMAIL if channel != "email" else OFF, choice), channel, set_up) == address


@pytest.mark.parametrize(
    ("key", "name"),
    [("email:ada@example.com", "ada@example.com"), ("email:a:b@example.com", "a:b@example.com"), ("user:7", "user 7")],
)
def test_a_recipient_without_a_name_is_called_by_address_or_number(key: str, name: str) -> None:
    assert named_by(key) == name
    assert Person(key, None, ()).shown == name
    assert Person(key, None, (), name="Ada").shown == "Ada"
