"""Decides whether a message is sent again after an attempt, and when."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.core.channel import Outcome
from app.core.vocabulary import AttemptOutcome, DeliveryStatus

RETRY_DELAYS = tuple(timedelta(seconds=seconds) for seconds in (2, 5, 15, 30, 60))
GIVE_UP_AFTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A message after an attempt: its status, and when to try again."""

    status: DeliveryStatus
    next_attempt_at: datetime | None


def follow_up(outcome: Outcome, *, attempt: int, first_attempt_at: datetime, at: datetime) -> FollowUp:
    """Accepted, dead, or due again: after 2, 5, 15, 30, 60 s, then every 60 s, for up to 15 min.

    A provider's Retry-After is honoured: never sooner than it says.
    """
    if outcome.result is AttemptOutcome.ACCEPTED:
        return FollowUp(DeliveryStatus.ACCEPTED, None)
    if outcome.result is AttemptOutcome.DEAD:
        return FollowUp(DeliveryStatus.DEAD, None)
    delay = RETRY_DELAYS[min(attempt, len(RETRY_DELAYS)) - 1]
    if outcome.retry_after_seconds is not None:
        delay = max(delay, timedelta(seconds=outcome.retry_after_seconds))
    if at + delay > first_attempt_at + GIVE_UP_AFTER:
        return FollowUp(DeliveryStatus.DEAD, None)
    return FollowUp(DeliveryStatus.RETRY, at + delay)
