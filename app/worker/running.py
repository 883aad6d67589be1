"""Runs a worker from start to graceful stop, inside the service or alone."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from app.integrations import dead_man
from app.utils.measuring import measuring
from app.utils.service_locator import Services
from app.worker.jobs import Jobs
from app.worker.listener import Listener
from app.worker.log_level import following_log_level
from app.worker.metrics_server import showing_metrics
from app.worker.scheduler import Worker

log = structlog.get_logger()


@asynccontextmanager
async def working(services: Services) -> AsyncIterator[Worker]:
    """A worker that runs while the block does."""
    settings = services.settings
    jobs = Jobs(
        services.delivery, services.paging, width=settings.worker_threads, retention_days=settings.retention_days
    )
    ping = dead_man.ping_of(settings.dead_man_url)
    worker = Worker(jobs, Listener(services.database), ping=ping, ping_seconds=settings.dead_man_interval_seconds)
    await asyncio.to_thread(_restore, jobs)
    worker.start()
    try:
        yield worker
    finally:
        await worker.stop(grace_seconds=settings.shutdown_grace_seconds)


def _restore(jobs: Jobs) -> None:
    """Restore the circuit breakers before anything is sent. If that is not possible now, the heartbeats try again."""
    try:
        jobs.restore()
    except Exception as error:  # noqa: BLE001 - without them a failing provider is called a few times too often
        log.warning("circuit_breakers_not_restored", reason=type(error).__name__)


async def work_until_told(services: Services) -> None:
    """Work until SIGTERM or SIGINT, then finish what is in flight."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    with showing_metrics(services):  # first: a port that is taken must stop the start
        async with following_log_level(services), measuring(services.database), working(services):
            await told.wait()
