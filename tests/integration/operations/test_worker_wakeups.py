"""A wake-up that arrives while its job runs is not lost."""

import asyncio

from app.core.config import Settings
from app.db.session import Database
from app.utils.service_locator import build_services
from app.worker import Jobs
from app.worker.listener import Listener
from app.worker.scheduler import DEAD_MAN, Worker
from tests.support.waiting import wait_until
from tests.support.world import Outbox

HOUR_SECONDS = 3600


def test_a_wake_up_during_a_run_makes_the_job_run_again(
    settings: Settings, own_database: Database, outbox: Outbox
) -> None:
    """The job's own interval is an hour: what runs it a second time is the wake-up."""
    services = build_services(settings, own_database, channels={outbox.name: outbox})
    jobs = Jobs(services.delivery, services.paging, width=1)
    pings: list[int] = []
    loops: list[asyncio.AbstractEventLoop] = []

    def ping() -> None:
        pings.append(len(pings))
        if len(pings) == 1:
            worker.wake(DEAD_MAN)
            # The loop has seen the wake-up before this run ends.
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loops[0]).result(30)

    worker = Worker(jobs, Listener(own_database), ping=ping, ping_seconds=HOUR_SECONDS)

    def scenario() -> None:
        wait_until(lambda: worker.health().status == "ok" and jobs.is_well(), seconds=30)
        worker.wake(DEAD_MAN)
        wait_until(lambda: len(pings) > 1, seconds=30)

    async def work() -> None:
        loops.append(asyncio.get_running_loop())
        worker.start()
        try:
            await asyncio.to_thread(scenario)
        finally:
            await worker.stop(grace_seconds=30)

    asyncio.run(work())
    assert pings == [0, 1]
