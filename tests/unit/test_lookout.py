"""A process that serves says loudly when no worker is alive anywhere."""

import asyncio
from collections.abc import Iterator

import pytest

from app.core.vocabulary import HealthStatus
from app.services.operations import health_checks
from app.services.operations.health_checks_service import Checks, Timed
from app.worker.lookout import AGAIN_SECONDS, Lookout

NONE, SOME = health_checks.of_workers(0), health_checks.of_workers(1)


class Installation:
    """What the lookout sees, and its clock."""

    def __init__(self) -> None:
        self.seen: Checks = {}
        self.at = 0.0
        self.lookout = Lookout(self.checks, lambda: self.at)

    async def checks(self) -> Checks:
        return self.seen

    def look(self, check: health_checks.Check | None) -> None:
        self.seen = {} if check is None else {"worker": Timed(check, 0.1)}
        asyncio.run(self.lookout.look())


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("INFO")
    return caplog


def levels(told: pytest.LogCaptureFixture) -> list[str]:
    return [record.levelname for record in told.records if "worker_alive" in str(record.msg)]


def test_no_worker_is_an_error_and_again_each_minute(told: pytest.LogCaptureFixture) -> None:
    installation = Installation()
    for _ in range(3):
        installation.look(NONE)
    assert levels(told) == ["ERROR"]
    installation.at += AGAIN_SECONDS
    installation.look(NONE)
    assert levels(told) == ["ERROR", "ERROR"]


def test_a_worker_that_is_back_is_one_all_clear(told: pytest.LogCaptureFixture) -> None:
    installation = Installation()
    for check in (SOME, NONE, SOME, SOME):
        installation.look(check)
    assert levels(told) == ["ERROR", "INFO"]


def test_without_a_database_nothing_is_said_about_workers(told: pytest.LogCaptureFixture) -> None:
    installation = Installation()
    for check in (NONE, None, NONE):
        installation.look(check)
    assert levels(told) == ["ERROR"]
    assert SOME.status is HealthStatus.OK


def test_a_look_that_fails_does_not_end_the_lookout(told: pytest.LogCaptureFixture) -> None:
    async def watch() -> None:
        looks: Iterator[Exception | Checks] = iter(
            [RuntimeError("can't start new thread"), {"worker": Timed(NONE, 0.1)}]
        )
        is_over = asyncio.Event()

        async def checks() -> Checks:
            found = next(looks, None)
            if isinstance(found, Exception):
                raise found
            if found is None:
                is_over.set()
            return found or {}

        running = asyncio.create_task(Lookout(checks).run(0.001))
        await asyncio.wait_for(is_over.wait(), 10)
        running.cancel()

    asyncio.run(watch())
    assert levels(told) == ["ERROR"]
