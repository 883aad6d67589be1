"""Keeps a worker's open circuit breakers over a restart, and follows their resets."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

import structlog
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.core.channel import without_answer
from app.crud import crud_breaker, crud_breaker_reset
from app.crud.clock import now
from app.crud.locks import wait_briefly
from app.db.session import is_contended
from app.models import CircuitBreaker
from app.services.delivery.breaker import Breakers
from app.services.delivery.breaker_state import IDLE_SECONDS, Opened
from app.services.delivery.held import Key
from app.services.delivery.ports import Delivery
from app.services.operations.channel_states import Reset, is_void
from app.services.operations.health_service import Pulse

log = structlog.get_logger()

Moved = Mapping[Key, Opened | None]  # None: it has closed

WORTHLESS_AFTER = timedelta(seconds=IDLE_SECONDS)  # nobody has renewed it: nobody knows how the provider is
RESETS_KEPT = timedelta(days=1)
PATIENCE_SECONDS = 1.0


def report(session: Session, breakers: Breakers) -> dict[str, Any]:
    """What a worker reports of the providers that failed last, by channel, with times by the database's clock."""
    found, still_open = breakers.report(), breakers.opened()
    if not still_open:
        return found
    at, moment = now(session), monotonic()
    for (channel, provider), opened in still_open.items():
        times = _times(opened, at, moment)
        since = {name: time.isoformat() for name, time in times.items()} | {"is_probing": opened.is_probing}
        found.get(channel, {}).get(provider, {}).update(since)
    return found


def forget_idle(breakers: Breakers) -> None:
    """Forget the breakers of providers that nothing was sent to for a quarter of an hour."""
    for channel, provider in breakers.forget_idle(monotonic()):
        log.info("circuit_breaker_forgotten", channel=channel, provider=provider)


def save(delivery: Delivery, pulse: Pulse, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Store the breakers that have moved since the last time, and delete those that closed. Usually there are none.

    What cannot be stored now is stored next time. Raises unless that is because others have locked it.
    """
    left = delivery.breakers.take_moved()
    try:
        for part in _by_outcome(left):
            with delivery.database.transaction() as session:
                wait_briefly(session, patience_seconds)
                _store(session, part, pulse.followed_reset)
            left = {key: opened for key, opened in left.items() if key not in part}
    except OperationalError as error:
        if not is_contended(error):
            raise
        log.info("circuit_breakers_locked", breakers=len(left))
    finally:
        delivery.breakers.put_back(left)


def restore(delivery: Delivery, pulse: Pulse) -> None:
    """Open the breakers that were open before this worker started. It follows all resets first."""
    follow(delivery, pulse)
    with delivery.database.transaction() as session:
        at, moment = now(session), monotonic()
        resets = [Reset(one.id, one.channel, one.provider) for one in crud_breaker_reset.after(session, 0)]
        for row in crud_breaker.said_since(session, at - WORTHLESS_AFTER):
            if not is_void(row.channel, row.provider, row.followed_reset, resets):
                delivery.breakers.restore((row.channel, row.provider), _opened(row, at, moment))
                log.info("circuit_breaker_restored", channel=row.channel, provider=row.provider)


def follow(delivery: Delivery, pulse: Pulse) -> int:
    """Close the breakers that were reset, and free what waits for them. Returns how many resets were new."""
    with delivery.database.transaction() as session:
        resets = crud_breaker_reset.after(session, pulse.followed_reset)
    for one in resets:
        for channel, provider in delivery.breakers.reset(one.channel, one.provider, at=monotonic()):
            log.info("circuit_breaker_reset", channel=channel, provider=provider)
        pulse.followed_reset = one.id
    return len(resets)


def forget_old(session: Session) -> int:
    """Delete breakers that nobody has renewed, and old resets. Returns how many rows."""
    at = now(session)
    breakers = crud_breaker.forget(session, before=at - WORTHLESS_AFTER)
    return breakers + crud_breaker_reset.forget(session, before=at - RESETS_KEPT)


def _by_outcome(moved: Moved) -> list[Moved]:
    """Those that are open and those that closed: in one transaction, two workers could block each other."""
    opened = {key: one for key, one in moved.items() if one is not None}
    closed = {key: None for key in moved if key not in opened}
    return [part for part in (opened, closed) if part]


def _store(session: Session, moved: Moved, followed_reset: int) -> None:
    at, moment = now(session), monotonic()
    rows = [_row(key, opened, at, moment) for key, opened in moved.items() if opened is not None]
    if rows:
        crud_breaker.put_all(session, [{**row, "followed_reset": followed_reset} for row in rows])
    closed = [key for key, opened in moved.items() if opened is None]
    if closed:
        crud_breaker.remove_all(session, closed)


def _row(key: Key, opened: Opened, at: datetime, moment: float) -> dict[str, Any]:
    channel, provider = key
    return {
        "channel": channel,
        "provider": provider,
        "pauses": opened.pauses,
        "failing_messages": opened.failing_messages,
        "last_error": without_answer(opened.last_error),
        "said_at": at,
        **_times(opened, at, moment),
    }


def _times(opened: Opened, at: datetime, moment: float) -> dict[str, datetime]:
    return {
        "open_since": at - timedelta(seconds=moment - opened.opened_at),
        "next_probe_at": at + timedelta(seconds=opened.next_probe_at - moment),
    }


def _opened(row: CircuitBreaker, at: datetime, moment: float) -> Opened:
    """The breaker as it was stored, but with its probe due now."""
    age = max((at - row.open_since).total_seconds(), 0.0)
    return Opened(max(row.pauses, 1), moment - age, moment, row.failing_messages, row.last_error)
