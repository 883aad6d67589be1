"""Decides when a page may go to a person by a channel: alone, together with others, or later.

A person who has heard nothing for a while hears at once. After that a token bucket lets single pages through, and
what is more is named in one message when its oldest page has waited 22 s. So the first page of an incident is alone
or named in a bundle within 30 s, and a storm is at most three messages in its first minute.
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
    """What becomes of the pages that wait."""

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
    """What to do, and the bucket after it. `until` is when to look again at pages that wait."""

    release: Release
    bucket: Bucket
    until: datetime


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody whose pages wait on one channel: how many, since when, the first of them, and the token bucket."""

    name: str
    bucket: Bucket
    waiting: int
    oldest_at: datetime
    first_page_id: int


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """What becomes of the pages of several recipients, those that are alike together, and their buckets after it.

    `alone` has the page of each recipient who is sent a single one. `postponed` has who is looked at again when.
    """

    alone: Mapping[str, int]
    bundled: tuple[str, ...]
    postponed: Mapping[datetime, tuple[str, ...]]
    buckets: Mapping[str, Bucket]


def plan(recipients: Iterable[Recipient], *, at: datetime) -> ReleasePlan:
    """Decide for each recipient; none of them changes what becomes of another."""
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
