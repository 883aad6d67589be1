"""Counts what happened in the metrics, once it is committed. What is rolled back is never counted."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic

from sqlalchemy.orm import Session

from app.core import metrics
from app.db.after_commit import after_commit


def alerts(session: Session, source: str, outcomes: Iterable[str]) -> None:
    """Alerts of a source were applied, each with its outcome."""
    counted = Counter(outcomes)

    def count() -> None:
        for outcome, number in counted.items():
            metrics.ALERTS_RECEIVED.of(source, outcome).add(number)

    after_commit(session, count)


def sender_refused(session: Session, source: str) -> None:
    """A webhook refuses a token that worked before."""
    after_commit(session, metrics.SENDERS_REFUSED.of(source).add)


def incidents_opened(session: Session, sources: Iterable[str]) -> None:
    """Incidents were opened, each from a source."""
    counted = Counter(sources)

    def count() -> None:
        for source, number in counted.items():
            metrics.INCIDENTS_OPENED.of(source).add(number)

    after_commit(session, count)


def unmatched(session: Session, number: int) -> None:
    """No policy matched so many incidents."""
    if number:
        after_commit(session, lambda: metrics.UNMATCHED_INCIDENTS.add(number))


@dataclass(frozen=True, slots=True)
class Responses:
    """How many seconds after their opening incidents were acknowledged and resolved."""

    acknowledged: list[float] = field(default_factory=list)
    resolved: list[float] = field(default_factory=list)


def responses(session: Session, made: Responses) -> None:
    """People, alerts or policies responded to incidents."""
    if not (made.acknowledged or made.resolved):
        return

    def count() -> None:
        for seconds in made.acknowledged:
            metrics.ACKNOWLEDGE_SECONDS.observe(seconds)
        for seconds in made.resolved:
            metrics.RESOLVE_SECONDS.observe(seconds)

    after_commit(session, count)


def steps_fired(session: Session, due: Collection[datetime], *, at: datetime) -> None:
    """Steps fired that were due at these times. `at` is the transaction's time; its commit comes later."""
    if not due:
        return
    began = monotonic()

    def count() -> None:
        took = monotonic() - began
        for due_at in due:
            metrics.STEP_LATENESS.observe(max((at - due_at) / timedelta(seconds=1), 0.0) + took)

    after_commit(session, count)


@dataclass(frozen=True, slots=True)
class Delivered:
    """An attempt to send: by which channel, how it ended, and how long the provider took."""

    channel: str
    outcome: str
    seconds: float


def deliveries(session: Session, attempts: Collection[Delivered]) -> None:
    """Attempts to send were recorded."""

    def count() -> None:
        for attempt in attempts:
            metrics.DELIVERIES.of(attempt.channel, attempt.outcome).add()
            metrics.DELIVERY_SECONDS.of(attempt.channel).observe(attempt.seconds)

    after_commit(session, count)


def leases_recovered(session: Session, number: int) -> None:
    """Messages were taken back from workers that did not end their leases."""
    if number:
        after_commit(session, lambda: metrics.LEASES_RECOVERED.add(number))
