"""Lets a process count in the metrics, and note what it uses for whichever process is asked."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from app.core import metrics
from app.core.background import in_background
from app.db.session import Database
from app.services.operations import metrics_service

SAMPLE_SECONDS = 1.0


@asynccontextmanager
async def measuring(database: Database, oldest_wait: Callable[[], float] = float) -> AsyncIterator[None]:
    """Count in this process while the block runs. `oldest_wait` tells how many seconds a request has waited."""
    metrics.join()
    async with in_background(_sample_for_ever(database, oldest_wait)):
        yield


async def _sample_for_ever(database: Database, oldest_wait: Callable[[], float]) -> None:
    while True:
        metrics_service.sample(database)
        metrics.OLDEST_WAITING.set(oldest_wait())
        await asyncio.sleep(SAMPLE_SECONDS)
