"""A wake-up is never lost, not even one that arrives while its job begins or ends."""

from collections.abc import Callable
from threading import Lock

import pytest

from app.core.config import Settings
from app.db.session import Database
from app.utils.service_locator import build_services
from app.worker import Jobs
from app.worker.listener import Listener
from app.worker.scheduler import DEAD_MAN, Worker
from tests.support.waiting import wait_until
from tests.support.working import work_during
from tests.support.world import Outbox

HOUR_SECONDS = 3600

Ping = Callable[[], None]
Start = Callable[[Ping], tuple[Worker, Jobs]]


@pytest.fixture
def start(settings: Settings, own_database: Database, outbox: Outbox) -> Start:
    """Builds a worker whose job that pings has an interval of an hour: what runs it sooner is a wake-up."""

    def build(ping: Ping) -> tuple[Worker, Jobs]:
        services = build_services(settings, own_database, channels={outbox.name: outbox})
        jobs = Jobs(services.delivery, services.paging, width=1)
        return Worker(jobs, Listener(own_database), ping=ping, ping_seconds=HOUR_SECONDS), jobs

    return build


def test_a_wake_up_during_a_run_makes_the_job_run_again(start: Start) -> None:
    pings: list[int] = []

    def ping() -> None:
        pings.append(len(pings))
        if len(pings) == 1:
            worker.wake(DEAD_MAN)

    worker, jobs = start(ping)

    def scenario() -> None:
        wait_until(lambda: worker.health().status == "ok" and jobs.is_well(), seconds=30)
        worker.wake(DEAD_MAN)
        wait_until(lambda: len(pings) > 1, seconds=30)

    work_during(worker, scenario)
    assert pings == [0, 1]


class LateLock:
    """A job's lock. While it is being released for the first time, `meanwhile` happens."""

    def __init__(self, meanwhile: Ping) -> None:
        self._lock = Lock()
        self._meanwhile: Ping | None = meanwhile

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        return self._lock.acquire(blocking, timeout)

    def locked(self) -> bool:
        return self._lock.locked()

    def release(self) -> None:
        happens, self._meanwhile = self._meanwhile, None
        if happens is not None:
            happens()
        self._lock.release()


def test_a_wake_up_while_a_run_ends_is_not_lost(start: Start) -> None:
    runs: list[int] = []
    worker, _ = start(lambda: None)
    worker._table[DEAD_MAN] = (lambda: runs.append(1), HOUR_SECONDS)
    worker._locks[DEAD_MAN] = LateLock(lambda: worker.wake(DEAD_MAN))  # type: ignore[assignment]

    def scenario() -> None:
        worker.wake(DEAD_MAN)
        wait_until(lambda: len(runs) == 2, seconds=30)

    work_during(worker, scenario)
    assert len(runs) == 2
