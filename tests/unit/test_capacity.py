"""Who gets a thread when all are busy."""

import asyncio
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest

from app.api import capacity
from app.api.capacity import Threads
from app.core import descriptors
from app.core.errors import TooManyRequests


def _scope(path: str) -> dict[str, Any]:
    return {"type": "http", "path": path}


async def _run_for(path: str, function: Callable[[], Any]) -> Any:
    capacity.mark(_scope(path))
    return await capacity.run(function)


@capacity.hashes_passwords
def log_in() -> None:
    """A handler that hashes."""


@pytest.mark.parametrize(
    ("path", "is_urgent"),
    [
        ("/v1/alerts/elastic", True),
        ("/health", True),
        ("/health/live", True),
        ("/p/token/acknowledge", True),
        ("/v1/incidents", False),
        ("/healthy", False),
        ("/", False),
    ],
)
def test_alerts_health_and_the_link_in_a_page_are_urgent(path: str, is_urgent: bool) -> None:
    assert capacity.is_urgent(_scope(path)) is is_urgent


@pytest.mark.parametrize(("path", "running"), [("/v1/incidents", 2), ("/v1/alerts/elastic", 4)])
def test_a_request_waits_from_when_no_thread_is_free_until_it_has_one(path: str, running: int) -> None:
    release = Event()

    async def busy() -> list[float]:
        capacity.set_up(Threads(4))
        waits = []
        tasks = []
        for number in (running, 1):
            tasks += [asyncio.create_task(_run_for(path, release.wait)) for _ in range(number)]
            await asyncio.sleep(0.01)
            waits.append(capacity.oldest_wait())
        release.set()
        await asyncio.gather(*tasks)
        return [*waits, capacity.oldest_wait()]

    free, waiting, over = asyncio.run(busy())
    assert (free, over) == (0, 0)
    assert waiting > 0


def test_a_request_that_is_given_up_waits_no_longer() -> None:
    release = Event()

    async def busy() -> tuple[float, float]:
        capacity.set_up(Threads(3))
        first = asyncio.create_task(_run_for("/v1/incidents", release.wait))
        second = asyncio.create_task(_run_for("/v1/incidents", release.wait))
        await asyncio.sleep(0.01)
        waited = capacity.oldest_wait()
        second.cancel()
        await asyncio.wait([second])
        found = capacity.oldest_wait()
        release.set()
        await first
        return waited, found

    waited, found = asyncio.run(busy())
    assert waited > found == 0


@pytest.mark.parametrize("path", ["/v1/alerts/elastic", "/p/token", "/health"])
def test_what_is_urgent_finds_a_thread_when_all_others_are_busy(path: str) -> None:
    release = Event()

    async def busy() -> str:
        capacity.set_up(Threads(4))
        waiting = [asyncio.create_task(_run_for("/v1/incidents", release.wait)) for _ in range(20)]
        await asyncio.sleep(0.05)
        found: str = await asyncio.wait_for(_run_for(path, lambda: "done"), 5)
        release.set()
        await asyncio.gather(*waiting)
        return found

    assert asyncio.run(busy()) == "done"


def test_passwords_that_are_being_hashed_keep_no_other_request_waiting() -> None:
    release = Event()

    async def busy() -> str:
        capacity.set_up(Threads(3))
        logins = [asyncio.create_task(capacity.run_endpoint(log_in, release.wait)) for _ in range(40)]
        await asyncio.sleep(0.05)
        found: str = await asyncio.wait_for(_run_for("/v1/incidents", lambda: "done"), 5)
        release.set()
        await asyncio.gather(*logins)
        return found

    assert asyncio.run(busy()) == "done"


def test_too_many_logins_at_once_are_told_to_come_back() -> None:
    release = Event()

    async def busy() -> None:
        capacity.set_up(Threads(3, max_waiting_for_hashes=2))
        logins = [asyncio.create_task(capacity.run_endpoint(log_in, release.wait)) for _ in range(10)]
        await asyncio.sleep(0.05)
        try:
            with pytest.raises(TooManyRequests):
                await capacity.run_endpoint(log_in, release.wait)
        finally:
            release.set()
            await asyncio.gather(*logins)

    asyncio.run(busy())


def test_descriptors_are_raised_to_the_hard_limit() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        assert descriptors.raise_limit() == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
