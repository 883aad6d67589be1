"""A worker's clocks: the wall clock, which anybody may set, and the timers of its loop."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextvars import Context
from datetime import datetime, timedelta, tzinfo
from typing import Any, TypeVarTuple

import apscheduler.schedulers.base
import apscheduler.triggers.interval
import pytest
from sqlalchemy import select

import app.core.clock
from app.core.config import Settings
from app.core.source import AlertSignal
from app.core.vocabulary import Severity
from app.db.session import Database
from app.models import Escalation, Incident
from app.schemas.escalation import PolicyCreate
from app.services.incidents import alert_service
from app.services.policies import policy_service, rollout_service
from app.utils.service_locator import Services, build_services
from app.worker import Jobs
from app.worker.listener import Listener
from app.worker.scheduler import Worker
from tests.support.scenario import steps
from tests.support.waiting import wait_until
from tests.support.world import Outbox, add_admins

pytestmark = pytest.mark.slow

DEADLINE_SECONDS = 30
HOUR = timedelta(hours=1)
WAKES = 10
Scenario = Callable[[Worker], None]
Ts = TypeVarTuple("Ts")


class WallClock:
    """What the service and its scheduler take for the time. The monotonic clock goes on as it is."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.offset = timedelta()
        clock = self

        class AnyDatetime(type):
            def __instancecheck__(cls, instance: object) -> bool:
                return isinstance(instance, datetime)

        class Shifted(datetime, metaclass=AnyDatetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Any:
                return datetime.now(tz) + clock.offset

        for module in (app.core.clock, apscheduler.schedulers.base, apscheduler.triggers.interval):
            monkeypatch.setattr(module, "datetime", Shifted)


class Loop(asyncio.SelectorEventLoop):
    """Counts the timers that are to wake the plan, and how many of them ever waited at once."""

    def __init__(self) -> None:
        super().__init__()
        self.timers: list[asyncio.TimerHandle] = []
        self.most_waiting = 0

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = super().call_later(delay, callback, *args, context=context)
        if args == ("plan",):
            self.timers.append(timer)
            waiting = [timer for timer in self.timers if not timer.cancelled() and timer.when() > self.time()]
            self.most_waiting = max(self.most_waiting, len(waiting))
        return timer


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    return WallClock(monkeypatch)


@pytest.fixture
def services(settings: Settings, own_database: Database, outbox: Outbox) -> Services:
    return build_services(settings, own_database, channels={outbox.name: outbox})


@pytest.fixture
def pings() -> list[float]:
    """When the worker has told the outside that all is well."""
    return []


@pytest.fixture
def worker(services: Services, pings: list[float]) -> Worker:
    jobs = Jobs(services.delivery, services.paging, width=1)
    return Worker(jobs, Listener(services.database), ping=lambda: pings.append(time.monotonic()), ping_seconds=1)


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def while_working(worker: Worker, loop: Loop) -> Iterator[Callable[[Scenario], None]]:
    """Runs a scenario in a thread beside the worker, which has ticked once."""

    async def work(scenario: Scenario) -> None:
        worker.start()
        try:
            await asyncio.to_thread(wait_until, lambda: worker.health().status == "ok", seconds=DEADLINE_SECONDS)
            await asyncio.to_thread(scenario, worker)
        finally:
            await worker.stop(grace_seconds=DEADLINE_SECONDS)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        yield lambda scenario: runner.run(work(scenario))


@pytest.fixture
def held(services: Services) -> Iterator[None]:
    """A step that is due, and somebody who holds its incident."""
    add_admins(services.database)
    with services.database.transaction() as session:
        policy_service.create(session, PolicyCreate(name="all", steps=steps(0)), services.paging)
        signals = [AlertSignal("elastic", None, True, "Disk full", None, None, "api", {})]
        alert_service.ingest(session, signals, default_severity=Severity.HIGH)
    with services.database.transaction() as session:
        while rollout_service.advance(session, set()):  # it would wait for whoever holds the incident
            pass
    with services.database.transaction() as holding:
        held = select(Escalation.incident_id).where(Escalation.next_run_at.is_not(None))
        assert holding.scalars(select(Incident.id).where(Incident.id.in_(held)).with_for_update()).all()
        yield


def more_pings(pings: list[float]) -> None:
    """Return when two pings more have gone out: one may have been on its way."""
    expected = len(pings) + 2
    wait_until(lambda: len(pings) >= expected, seconds=DEADLINE_SECONDS)


def ticks(worker: Worker, *, times: int) -> None:
    """Return when so many ticks more have come through."""
    for _ in range(times):
        last = worker.health().last_tick_at
        wait_until(lambda: worker.health().last_tick_at != last, seconds=DEADLINE_SECONDS)  # noqa: B023


def test_a_clock_that_is_set_back_stops_no_job(
    while_working: Callable[[Scenario], None], wall_clock: WallClock, pings: list[float]
) -> None:
    def scenario(worker: Worker) -> None:
        for _ in range(2):
            wall_clock.offset -= HOUR
            more_pings(pings)
            ticks(worker, times=2)
            assert worker.health().status == "ok"

    while_working(scenario)


def test_a_clock_set_back_stops_no_job_that_nobody_wakes(
    while_working: Callable[[Scenario], None], wall_clock: WallClock, pings: list[float]
) -> None:
    def scenario(worker: Worker) -> None:
        wall_clock.offset -= HOUR
        worker.wake("plan")
        more_pings(pings)

    while_working(scenario)


def test_a_clock_that_is_set_forward_is_no_stall(
    while_working: Callable[[Scenario], None], wall_clock: WallClock
) -> None:
    def scenario(worker: Worker) -> None:
        wall_clock.offset += HOUR
        assert worker.health().status == "ok"

    while_working(scenario)


def test_a_clock_that_is_set_back_hides_no_stall(
    while_working: Callable[[Scenario], None],
    wall_clock: WallClock,
    worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    while_working(lambda _: None)
    wall_clock.offset -= HOUR
    assert worker.health().status == "ok"
    in_a_minute = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: in_a_minute)
    assert worker.health().status == "stalled"


@pytest.mark.usefixtures("held")
def test_however_often_a_worker_is_woken_one_timer_waits_for_the_next_step(
    while_working: Callable[[Scenario], None], loop: Loop
) -> None:
    def scenario(worker: Worker) -> None:
        for _ in range(WAKES):
            set_before = len(loop.timers)
            worker.wake("plan")
            wait_until(lambda: len(loop.timers) > set_before, seconds=DEADLINE_SECONDS)  # noqa: B023

    while_working(scenario)
    assert loop.most_waiting == 1
