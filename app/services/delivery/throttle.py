"""Decides when a page may go to a person by a channel: alone, together with others, or later.

A person who got no page for a while is paged at once. After that, a token bucket lets single pages through. Further
pages are bundled into one message once the oldest has waited 22 s. So the first page of an incident is sent alone or in
a bundle within 30 s, and a storm is at most three messages in its first minute.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

CAPACITY = 3.0
REFILL_EVERY = timedelta(seconds=20)
PAUSE = timedelta(seconds=2)
BUNDLE_AFTER = timedelta(seconds=22)


class Release(StrEnum):
    """What to do with the waiting pages."""

    ALONE = "alone"
    BUNDLE = "bundle"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Bucket:
    """The token bucket of one recipient on one channel."""

    tokens: float
    refilled_at: datetime
    last_sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, and the bucket afterwards. `until` is when to look at waiting pages again."""

    release: Release
    bucket: Bucket
    until: datetime


@dataclass(frozen=True, slots=True)
class Recipient:
    """A recipient whose pages wait on one channel: how many, since when, the first one, and the token bucket."""

    name: str
    bucket: Bucket
    waiting: int
    oldest_at: datetime
    first_page_id: int


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """The decisions for several recipients, grouped by kind, and their buckets afterwards.

    `alone` holds the page of each recipient who gets a single one. `postponed` says who is looked at again and when.
    """

    alone: Mapping[str, int]
    bundled: tuple[str, ...]
    postponed: Mapping[datetime, tuple[str, ...]]
    buckets: Mapping[str, Bucket]


def plan(recipients: Iterable[Recipient], *, at: datetime) -> ReleasePlan:
    """Decide for each recipient, independently of the others."""
    alone: dict[str, int] = {}
    bundled: list[str] = []
    postponed: dict[datetime, tuple[str, ...]] = defaultdict(tuple)
    buckets: dict[str, Bucket] = {}
    for who in recipients:
        decision = decide(who.bucket, waiting=who.waiting, oldest_at=who.oldest_at, at=at)
        buckets[who.name] = decision.bucket
        match decision.release:
            case Release.ALONE:
                alone[who.name] = who.first_page_id
            case Release.BUNDLE:
                bundled.append(who.name)
            case Release.WAIT:
                postponed[decision.until] += (who.name,)
    return ReleasePlan(alone, tuple(bundled), dict(postponed), buckets)


def decide(bucket: Bucket, *, waiting: int, oldest_at: datetime, at: datetime) -> Decision:
    """Release the waiting pages, or let them wait."""
    full = _refilled(bucket, at)
    bundle_at = oldest_at + BUNDLE_AFTER
    last = full.last_sent_at
    is_quiet = last is None or at >= last + BUNDLE_AFTER
    is_single = waiting == 1 and full.tokens >= 1 and (last is None or at >= last + PAUSE)
    if is_quiet or is_single or at >= bundle_at:
        spent = replace(full, tokens=max(full.tokens - 1, 0.0), last_sent_at=at)
        return Decision(Release.ALONE if waiting == 1 else Release.BUNDLE, spent, at)
    if waiting == 1 and full.tokens >= 1 and last is not None:
        return Decision(Release.WAIT, full, min(last + PAUSE, bundle_at))
    return Decision(Release.WAIT, full, bundle_at)


def _refilled(bucket: Bucket, at: datetime) -> Bucket:
    earned = max((at - bucket.refilled_at) / REFILL_EVERY, 0.0)
    return replace(bucket, tokens=min(bucket.tokens + earned, CAPACITY), refilled_at=at)
