"""Open circuit breakers outlive a restart, and what is stored of them costs the sending nothing."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db.session import Database, connect
from app.models import CircuitBreaker
from app.services.delivery.breaker import OPENS_AFTER
from app.services.delivery.breaker_state import FIRST_PAUSE_SECONDS, IDLE_SECONDS
from app.services.delivery.ports import Delivery
from app.services.operations import breaker_service
from app.services.operations.health_service import Pulse
from app.utils.service_locator import Services
from app.worker import Jobs
from tests.support.inline import inline_jobs
from tests.support.scenario import Opener
from tests.support.statements import statements
from tests.support.world import Clock, Outbox

Start = Callable[..., tuple[Jobs, Delivery]]
KEY = ("email", "outbox")
BUSY = "The server answered 503: a secret of the inside"


@pytest.fixture
def start(services: Services) -> Start:
    """Starts a worker on the test's database."""

    def run(database: Database = services.database) -> tuple[Jobs, Delivery]:
        delivery = Delivery(database, services.channels, services.paging, timedelta(seconds=60))
        return inline_jobs(services, delivery), delivery

    return run


def fail(delivery: Delivery, times: int = OPENS_AFTER, *, first: int = 0) -> None:
    for number in range(first, first + times):
        delivery.breakers.record(*KEY, number, error=BUSY, at=time.monotonic())


def stored(session: Session) -> CircuitBreaker | None:
    session.expire_all()
    return session.scalars(select(CircuitBreaker)).one_or_none()


def test_a_restarted_worker_probes_with_its_first_message(start: Start, session: Session) -> None:
    jobs, before = start()
    fail(before)
    jobs.beat()
    row = stored(session)
    assert row is not None
    assert (row.failing_messages, row.pauses, row.last_error) == (OPENS_AFTER, 1, "The server answered 503.")
    restarted, after = start()
    restarted.restore()
    at = time.monotonic()
    assert [after.breakers.wait_seconds(*KEY, at=at) for _ in range(2)] == [0, FIRST_PAUSE_SECONDS]
    assert not after.breakers.record(*KEY, 99, error=BUSY, at=at)
    assert after.breakers.wait_seconds(*KEY, at=at) == 10  # the second pause
    assert after.breakers.report()["email"]["outbox"]["failing_messages"] == OPENS_AFTER + 1


def test_another_hosts_broken_network_delays_no_page(
    start: Start, session: Session, add_policy: Opener, open_incident: Opener, outbox: Outbox
) -> None:
    without_network, its_delivery = start()
    without_network.restore()
    fail(its_delivery)
    without_network.beat()
    new, _ = start()
    new.restore()
    add_policy()
    for _ in range(3):
        open_incident()
    new.plan()
    session.execute(text("UPDATE notifications SET is_held = false, next_attempt_at = now()"))  # no token bucket
    session.commit()
    new.send()
    assert len(outbox.sent) == 1  # the probe, whose success frees the others
    new.follow_resets()
    new.send()
    assert len(outbox.sent) == 3


def test_a_success_after_the_restart_closes_it(start: Start, session: Session) -> None:
    jobs, before = start()
    fail(before)
    jobs.beat()
    restarted, after = start()
    restarted.restore()
    assert after.breakers.record(*KEY, 99, error=None, at=time.monotonic())
    restarted.beat()
    assert stored(session) is None


@pytest.mark.parametrize("ahead", ["1 hour", "-1 hour"])
def test_no_stored_time_holds_a_message(start: Start, session: Session, ahead: str) -> None:
    jobs, before = start()
    fail(before)
    jobs.beat()
    moved = "next_probe_at = next_probe_at + :by, open_since = open_since + :by"
    session.execute(text(f"UPDATE circuit_breakers SET {moved.replace(':by', f'interval {ahead!r}')}"))
    session.commit()
    restarted, after = start()
    restarted.restore()
    assert after.breakers.wait_seconds(*KEY, at=time.monotonic()) == 0
    assert after.breakers.opened()[KEY].opened_at <= time.monotonic()


def test_what_nobody_has_renewed_for_long_is_worthless(start: Start, session: Session, clock: Clock) -> None:
    jobs, before = start()
    fail(before)
    jobs.beat()
    clock.advance(seconds=IDLE_SECONDS + 1)
    restarted, after = start()
    restarted.restore()
    assert after.breakers.opened() == {}
    restarted.clean_up()
    assert stored(session) is None


def test_what_a_worker_found_out_itself_counts_more(start: Start) -> None:
    jobs, before = start()
    fail(before)
    jobs.beat()
    restarted, after = start()
    fail(after, 1)
    restarted.beat()
    assert after.breakers.opened() == {}


def test_what_could_not_be_stored_is_stored_later(start: Start, session: Session, services: Services) -> None:
    away = connect("postgresql://nobody@127.0.0.1:1/none", pool_size=1)
    jobs, delivery = start(away)
    fail(delivery)
    with pytest.raises(OperationalError):
        jobs.beat()
    with pytest.raises(OperationalError):
        breaker_service.save(delivery, Pulse())
    again = Delivery(services.database, services.channels, services.paging, delivery.lease, delivery.breakers)
    inline_jobs(services, again).beat()
    assert stored(session) is not None


def test_a_thousand_failing_messages_write_one_row(start: Start, services: Services, outbox: Outbox) -> None:
    jobs, delivery = start()
    jobs.restore()
    with statements(services.database) as seen:
        fail(delivery, 1000)
        jobs.beat()
        jobs.beat()
    writes = [statement for statement in seen if "INTO circuit_breakers" in statement]
    assert (len(writes), len(delivery.breakers.opened())) == (1, 1)


def test_a_breaker_that_moves_calls_back_at_once(start: Start) -> None:
    jobs, delivery = start()
    calls: list[int] = []
    jobs.when_breakers_move(lambda: calls.append(1))
    fail(delivery, OPENS_AFTER - 1)
    assert calls == []
    fail(delivery, 10, first=OPENS_AFTER)
    assert calls == [1]
    assert delivery.breakers.record(*KEY, 1, error=None, at=time.monotonic())
    assert calls == [1, 1]


def test_the_state_of_everybody_shows_no_answer_and_no_host(start: Start, client: object, services: Services) -> None:
    jobs, delivery = start()
    fail(delivery)
    jobs.beat()
    said = asyncio.run(services.health.checks())["channel_email"].check.detail or ""
    assert said.startswith("1 provider fails")
    assert not [word for word in ("503", "secret", KEY[1]) if word in said]
