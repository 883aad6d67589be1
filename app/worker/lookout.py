"""Watches, in each process that serves, that a worker is alive somewhere, and says loudly if none is."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from time import monotonic

import structlog

from app.core.background import in_background
from app.core.vocabulary import HealthStatus
from app.services.operations.health_checks_service import Timed

log = structlog.get_logger()

LOOK_SECONDS = 10.0
AGAIN_SECONDS = 60.0
WORKER = "worker"

LookAtAll = Callable[[], Awaitable[Mapping[str, Timed]]]


class Lookout:
    """Logs when no worker is alive, again each minute, and once when one is alive again."""

    def __init__(self, checks: LookAtAll, clock: Callable[[], float] = monotonic) -> None:
        self._checks = checks
        self._clock = clock
        self._told_at: float | None = None

    async def look(self) -> None:
        """Look once. Whether a worker is alive is unknown while the database is away."""
        found = (await self._checks()).get(WORKER)
        if found is None:
            return
        if found.check.status is HealthStatus.OK:
            if self._told_at is not None:
                log.info("worker_alive")
            self._told_at = None
        elif self._told_at is None or self._clock() - self._told_at >= AGAIN_SECONDS:
            self._told_at = self._clock()
            log.error("no_worker_alive", cure="start one: `python -m app worker`, or WORKER_ENABLED=true")

    async def run(self, seconds: float = LOOK_SECONDS) -> None:
        """Look every so many seconds, first after one of them: workers that start with this process need a moment.

        A look that fails ends nothing: the next one may not.
        """
        while True:
            await asyncio.sleep(seconds)
            try:
                await self.look()
            except Exception:
                log.exception("lookout_failed")


@asynccontextmanager
async def looking_out(checks: LookAtAll) -> AsyncIterator[None]:
    """Watch while the block runs."""
    async with in_background(Lookout(checks).run()):
        yield
