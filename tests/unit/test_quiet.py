"""When a channel is quiet, and what is shown of an address."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.contacts.address import masked
from app.services.contacts.quiet import Hours, Occasion, is_quiet
from app.services.notification import ChannelChoice, Person, route

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Hours(time(22), time(7), BERLIN)
LUNCH = Hours(time(12), time(13), BERLIN)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


@pytest.mark.parametrize(
    ("hours", "moment", "expected"),
    [
        (NIGHT, "2026-01-20T21:59:59", False),
        (NIGHT, "2026-01-20T22:00:00", True),
        (NIGHT, "2026-01-21T00:00:00", True),
        (NIGHT, "2026-01-21T06:59:59", True),
        (NIGHT, "2026-01-21T07:00:00", False),
        (NIGHT, "2026-07-20T21:59:59", False),  # summer time: 19:59 UTC
        (NIGHT, "2026-07-20T22:00:00", True),
        (LUNCH, "2026-01-20T11:59:59", False),
        (LUNCH, "2026-01-20T12:00:00", True),
        (LUNCH, "2026-01-20T13:00:00", False),
        (LUNCH, "2026-01-20T00:00:00", False),
        (None, "2026-01-20T12:00:00", True),
    ],
)
def test_a_quiet_severity_is_quiet_within_the_hours_of_the_persons_clock(
    hours: Hours | None, moment: str, expected: bool
) -> None:
    assert is_quiet(Occasion("low", at(moment)), ["low", "medium"], hours) is expected


@pytest.mark.parametrize("hours", [NIGHT, None])
def test_other_severities_and_urgent_pages_are_never_quiet(hours: Hours | None) -> None:
    midnight = at("2026-01-21T00:00:00")
    assert not is_quiet(Occasion("critical", midnight), ["low", "medium"], hours)
    assert not is_quiet(Occasion("low", midnight), [], hours)
    assert not is_quiet(None, ["low", "critical"], hours)


@given(st.times(), st.times(), st.datetimes(timezones=st.just(UTC)))
def test_hours_and_the_hours_between_them_share_the_day(begins: time, ends: time, moment: datetime) -> None:
    begins, ends = begins.replace(tzinfo=None), ends.replace(tzinfo=None)
    if begins != ends:
        inside = Hours(begins, ends, UTC).contain(moment)
        assert inside is not Hours(ends, begins, UTC).contain(moment)


def test_hours_that_end_as_they_begin_are_the_whole_day() -> None:
    whole = Hours(time(7), time(7), BERLIN)
    assert all(whole.contain(datetime(2026, 1, 20, hour, 59, tzinfo=BERLIN)) for hour in range(24))


def test_the_hour_that_comes_twice_is_quiet_both_times() -> None:
    twice = Hours(time(2), time(3), BERLIN)
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert [twice.contain(first + timedelta(hours=hour)) for hour in range(-1, 3)] == [False, True, True, False]


SMS = ChannelChoice("sms", is_enabled=True, address="+15550100")
EMAIL = ChannelChoice("email", is_enabled=True, address="a@b.co")
QUIET = ChannelChoice("sms", is_enabled=True, address="+15550100", is_quiet=True)
UNPROVED = ChannelChoice("sms", is_enabled=True, address="+15550100", is_verified=False)
OFF = ChannelChoice("email", is_enabled=False, address="a@b.co")


@pytest.mark.parametrize(
    ("choices", "named", "channels", "skipped"),
    [
        ((QUIET, EMAIL), None, ["email"], {"sms": "quiet"}),
        ((UNPROVED, EMAIL), None, ["email"], {"sms": "not_verified"}),
        ((QUIET, EMAIL), ["sms"], [], {"sms": "quiet"}),
        ((QUIET, EMAIL), ["sms", "email"], ["email"], {"sms": "quiet"}),
        ((QUIET, EMAIL), ["email"], ["email"], {}),
        ((QUIET, OFF), None, [], {"sms": "quiet", "email": "disabled_by_recipient"}),
        ((QUIET, OFF), ["sms"], [], {"sms": "quiet", "email": "disabled_by_recipient"}),
        ((SMS, OFF), None, ["sms"], {}),
    ],
)
def test_a_quiet_or_unproved_channel_is_passed_over_and_says_so(
    choices: tuple[ChannelChoice, ...], named: list[str] | None, channels: list[str], skipped: dict[str, str]
) -> None:
    found = route(Person("user:1", 1, choices), named, frozenset({"sms", "email"}))
    assert [page.channel for page in found.pages] == channels
    assert {skip.channel: skip.reason for skip in found.skips} == skipped


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("ada@example.com", "a***@example.com"),
        ("+15550100", "***00"),
        ("#ops", "***"),
        ("https://hooks.example/secret?token=1", "https://hooks.example/***"),
        ("https://user:password@hooks.example/secret", "https://hooks.example/***"),
        ('{"endpoint": "https://push.example/x"}', "***"),
        ("https://[x]/secret", "***"),
    ],
)
def test_of_an_address_no_more_is_shown_than_its_owner_needs(address: str, shown: str) -> None:
    assert masked(address) == shown
