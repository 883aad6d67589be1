"""Lets a process count in the metrics, and note what it uses for whichever process is asked."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from app.core import metrics
from app.db.session import Database
from app.services.operations import metrics_service

SAMPLE_SECONDS = 1.0


@asynccontextmanager
async def measuring(database: Database, oldest_wait: Callable[[], float] = float) -> AsyncIterator[None]:
    """Count in this process while the block runs. `oldest_wait` tells how many seconds a request has waited."""
    metrics.join()
    task = asyncio.create_task(_sample_for_ever(database, oldest_wait))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _sample_for_ever(database: Database, oldest_wait: Callable[[], float]) -> None:
    while True:
        metrics_service.sample(database)
        metrics.OLDEST_WAITING.set(oldest_wait())
        await asyncio.sleep(SAMPLE_SECONDS)
