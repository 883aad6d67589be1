"""A worker that works while a test does something."""

import asyncio
from collections.abc import Callable

from app.worker.scheduler import Worker


def work_during(worker: Worker, scenario: Callable[[], None]) -> None:
    """Run the scenario in a thread while the worker works, and stop the worker."""

    async def work() -> None:
        worker.start()
        try:
            await asyncio.to_thread(scenario)
        finally:
            await worker.stop(grace_seconds=30)

    asyncio.run(work())
