"""When pages go to a person: at once, alone, together, or later. And when a provider is left alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.delivery.breaker import OPENS_AFTER, Breakers
from app.services.delivery.throttle import (
    BUNDLE_AFTER,
    CAPACITY,
    PAUSE,
    Bucket,
    Decision,
    Recipient,
    Release,
    ReleasePlan,
    decide,
    plan,
)

NOW = datetime(2026, 1, 20, 3, 0, tzinfo=UTC)
FRESH = Bucket(CAPACITY, NOW)


def after(seconds: float, bucket: Bucket, *, waiting: int = 1, waited: float = 0) -> Decision:
    now = NOW + timedelta(seconds=seconds)
    return decide(bucket, waiting=waiting, oldest_at=now - timedelta(seconds=waited), at=now)


def test_the_first_page_goes_at_once() -> None:
    assert after(0, FRESH).release is Release.ALONE


def test_several_first_pages_go_at_once_in_one_message() -> None:
    assert after(0, FRESH, waiting=7).release is Release.BUNDLE


@pytest.mark.parametrize(
    ("seconds", "waiting", "waited", "release", "again"),
    [
        (1, 1, 0, Release.WAIT, 2),  # a breath after the one before
        (2, 1, 1, Release.ALONE, 2),
        (2, 2, 1, Release.WAIT, 23),  # more than one: together, when the oldest has waited 22 s
        (21, 2, 17, Release.WAIT, 26),
        (22, 2, 1, Release.BUNDLE, 22),  # nothing was heard for 22 s
        (21, 9, 22, Release.BUNDLE, 21),
    ],
)
def test_what_follows_the_first_page(
    seconds: float, waiting: int, waited: float, release: Release, again: float
) -> None:
    decision = after(seconds, after(0, FRESH).bucket, waiting=waiting, waited=waited)
    assert (decision.release, decision.until) == (release, NOW + timedelta(seconds=again))


def test_without_a_token_even_a_single_page_waits_to_be_bundled() -> None:
    decision = after(3, Bucket(0.2, NOW, NOW), waiting=1, waited=1)
    assert (decision.release, decision.until) == (Release.WAIT, NOW + timedelta(seconds=24))


@pytest.mark.parametrize(
    ("tokens", "seconds", "left"),
    [
        (3.0, 0, 2.0),
        (1.0, 22, 1.1),  # a token each 20 s
        (0.0, 100, 2.0),  # but never more than three
        (0.2, 22, 0.3),
        (0.0, 22, 0.1),
        (2.0, -50, 1.0),  # another worker's clock may be ahead
    ],
)
def test_each_message_takes_a_token_and_time_brings_them_back(tokens: float, seconds: float, left: float) -> None:
    bucket = after(seconds, Bucket(tokens, NOW)).bucket
    assert bucket.tokens == pytest.approx(left)
    assert (bucket.refilled_at, bucket.last_sent_at) == ((NOW + timedelta(seconds=seconds),) * 2)


def test_a_bundle_that_is_due_goes_without_a_token() -> None:
    bucket = after(1, Bucket(0.0, NOW, NOW), waiting=2, waited=22).bucket
    assert bucket.tokens == 0.0


def test_who_waits_keeps_tokens_and_the_time_of_the_last_message() -> None:
    waiting = after(1, Bucket(1.0, NOW, NOW)).bucket
    assert waiting == Bucket(1.05, NOW + timedelta(seconds=1), NOW)


def test_a_single_page_with_exactly_one_token_goes() -> None:
    assert after(2, Bucket(0.9, NOW, NOW)).release is Release.ALONE
    assert after(1, Bucket(0.95, NOW, NOW)).until == NOW + PAUSE


def test_a_page_that_has_waited_nearly_long_enough_skips_the_pause() -> None:
    last = NOW + timedelta(seconds=0.5)
    decision = decide(Bucket(3.0, NOW, last), waiting=1, oldest_at=NOW - BUNDLE_AFTER + timedelta(seconds=1), at=NOW)
    assert (decision.release, decision.until) == (Release.WAIT, NOW + timedelta(seconds=1))


def recipient(name: str, page: int, bucket: Bucket, *, waiting: int = 1) -> Recipient:
    return Recipient(name, bucket, waiting, NOW - timedelta(seconds=1), page)


def test_a_plan_decides_for_each_recipient_apart() -> None:
    busy, empty = Bucket(CAPACITY, NOW, NOW), Bucket(0.0, NOW, NOW)
    recipients = [
        recipient("ada", 1, FRESH),
        recipient("ben", 2, FRESH, waiting=2),
        recipient("cem", 3, busy),
        recipient("dee", 4, empty),
        recipient("eve", 5, FRESH),
        recipient("fay", 6, empty),
        recipient("gus", 7, FRESH, waiting=9),
    ]
    spent = Bucket(CAPACITY - 1, NOW, NOW)
    assert plan(recipients, at=NOW) == ReleasePlan(
        alone={"ada": 1, "eve": 5},
        bundled=("ben", "gus"),
        postponed={NOW + PAUSE: ("cem",), NOW + BUNDLE_AFTER - timedelta(seconds=1): ("dee", "fay")},
        buckets={"ada": spent, "ben": spent, "cem": busy, "dee": empty, "eve": spent, "fay": empty, "gus": spent},
    )


def test_a_plan_for_nobody_is_empty() -> None:
    assert plan([], at=NOW) == ReleasePlan({}, (), {}, {})


@pytest.mark.slow
@given(st.lists(st.floats(0, 60), min_size=500, max_size=600))
def test_a_storm_is_three_messages_in_its_first_minute_and_names_each_page(
    arrivals: list[float],
) -> None:
    arrivals = sorted(arrivals)
    arrivals = [at - arrivals[0] for at in arrivals]
    bucket, waiting, sent, tick = FRESH, list[float](), list[float](), 0.0
    named: list[float] = []
    while tick < 120:
        waiting += [at for at in arrivals if tick - 0.5 < at <= tick]
        if waiting:
            decision = after(tick, bucket, waiting=len(waiting), waited=tick - waiting[0])
            bucket = decision.bucket
            if decision.release is not Release.WAIT:
                sent.append(tick)
                named += [tick - at for at in waiting]
                waiting = []
        tick += 0.5
    assert len(named) == len(arrivals)
    assert max(named) <= 30
    assert len([at for at in sent if at < 60]) <= 3


def test_a_provider_failing_for_several_messages_is_left_and_probed_by_one() -> None:
    breakers = Breakers()
    moved = [breakers.record("sms", "twilio", i, error="503", at=0.0) for i in range(OPENS_AFTER)]
    assert moved == [False] * (OPENS_AFTER - 1) + [True]
    assert breakers.wait_seconds("sms", "twilio", at=1.0) == 4.0
    assert breakers.wait_seconds("sms", "another", at=1.0) == 0.0
    assert breakers.wait_seconds("sms", "twilio", at=5.0) == 0.0  # the probe
    assert breakers.wait_seconds("sms", "twilio", at=5.0) > 0.0
    assert breakers.report()["sms"]["twilio"]["state"] == "open"
    breakers.record("sms", "twilio", 99, error="503", at=5.0)
    assert breakers.wait_seconds("sms", "twilio", at=6.0) == 9.0  # twice as long
    breakers.wait_seconds("sms", "twilio", at=15.0)
    assert breakers.record("sms", "twilio", 99, error=None, at=15.0)
    assert breakers.wait_seconds("sms", "twilio", at=15.0) == 0.0
    assert breakers.report() == {}


def test_one_message_that_keeps_failing_says_little_about_its_provider() -> None:
    breakers = Breakers()
    for _ in range(3 * OPENS_AFTER):
        breakers.record("email", "smtp", 1, error="450", at=0.0)
    assert breakers.wait_seconds("email", "smtp", at=0.0) == 0.0
