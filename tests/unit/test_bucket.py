"""The token bucket of one person on one channel: what a page spends, what time earns, and until when a page is held."""

from datetime import UTC, datetime, timedelta

import pytest

from app.services.delivery.throttle import BUNDLE_AFTER, Bucket, Decision, Release, decide

NOW = datetime(2026, 1, 20, 10, 30, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("bucket", "waiting", "release", "tokens"),
    [
        (Bucket(1.0, NOW, ago(3)), 1, Release.ALONE, 0.0),
        (Bucket(1.5, NOW, ago(3)), 1, Release.ALONE, 0.5),
        (Bucket(2.0, NOW, ago(2)), 1, Release.ALONE, 1.0),
        (Bucket(0.5, ago(10), ago(3)), 1, Release.ALONE, 0.0),
        (Bucket(3.0, ago(60), ago(3)), 1, Release.ALONE, 2.0),
        (Bucket(3.0, NOW - timedelta(seconds=-5), ago(3)), 1, Release.ALONE, 2.0),
        (Bucket(0.0, NOW, ago(22)), 1, Release.ALONE, 0.0),
        (Bucket(0.5, NOW, None), 1, Release.ALONE, 0.0),
        (Bucket(3.0, NOW, None), 2, Release.BUNDLE, 2.0),
    ],
)
def test_a_page_that_goes_spends_a_token(bucket: Bucket, waiting: int, release: Release, tokens: float) -> None:
    found = decide(bucket, waiting=waiting, oldest_at=NOW, at=NOW)
    assert found == Decision(release, Bucket(tokens, NOW, NOW), NOW)


@pytest.mark.parametrize(
    ("bucket", "waiting", "tokens", "until"),
    [
        (Bucket(1.0, NOW, ago(1)), 1, 1.0, NOW + timedelta(seconds=1)),
        (Bucket(0.5, NOW, ago(1)), 1, 0.5, NOW + BUNDLE_AFTER),
        (Bucket(0.25, ago(5), ago(3)), 1, 0.5, NOW + BUNDLE_AFTER),
        (Bucket(3.0, NOW, ago(3)), 2, 3.0, NOW + BUNDLE_AFTER),
    ],
)
def test_a_page_that_is_held_spends_nothing(bucket: Bucket, waiting: int, tokens: float, until: datetime) -> None:
    found = decide(bucket, waiting=waiting, oldest_at=NOW, at=NOW)
    assert found == Decision(Release.WAIT, Bucket(tokens, NOW, bucket.last_sent_at), until)


def test_the_oldest_page_waits_no_longer_than_for_its_bundle() -> None:
    bucket = Bucket(0.0, NOW, ago(3))
    held = decide(bucket, waiting=3, oldest_at=NOW - BUNDLE_AFTER + timedelta(seconds=1), at=NOW)
    assert (held.release, held.until) == (Release.WAIT, NOW + timedelta(seconds=1))
    assert decide(bucket, waiting=3, oldest_at=NOW - BUNDLE_AFTER, at=NOW).release is Release.BUNDLE
    soon = decide(Bucket(1.0, NOW, ago(0.5)), waiting=1, oldest_at=NOW - BUNDLE_AFTER + timedelta(seconds=1), at=NOW)
    assert soon.until == NOW + timedelta(seconds=1)
