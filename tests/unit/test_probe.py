"""Asking how the installation is: at once, and without asking the database for each caller."""

import asyncio
from collections.abc import Iterator
from threading import Event, Thread
from typing import Any

import pytest

from app.core.vocabulary import HealthStatus
from app.services.operations import health_checks
from app.services.operations.health_checks_service import Checks, Timed
from app.services.operations.probe_service import FRESH_SECONDS, Probe

FOUND = {"database": Timed(health_checks.OK, 0.3)}


class Look:
    """Counts how often somebody looks, and may hang or fail."""

    def __init__(self) -> None:
        self.times = 0
        self.may_end = Event()
        self.may_end.set()
        self.error: Exception | None = None
        self.at = 100.0

    def __call__(self) -> Checks:
        self.times += 1
        self.may_end.wait(30)
        if self.error is not None:
            raise self.error
        return FOUND

    def clock(self) -> float:
        return self.at


@pytest.fixture
def look() -> Iterator[Look]:
    made = Look()
    yield made
    made.may_end.set()


def test_callers_within_a_second_share_one_look(look: Look) -> None:
    probe = Probe(look, clock=look.clock)
    assert [asyncio.run(probe.checks()) for _ in range(2)] == [FOUND, FOUND]
    assert look.times == 1
    look.at += FRESH_SECONDS + 0.1
    assert asyncio.run(probe.checks()) == FOUND
    assert look.times == 2


def test_callers_side_by_side_share_one_look(look: Look) -> None:
    look.may_end.clear()
    probe = Probe(look, longest_seconds=30)

    async def ask() -> list[Any]:
        asked = [asyncio.create_task(probe.checks()) for _ in range(40)]
        await asyncio.sleep(0)  # all of them wait
        look.may_end.set()
        return await asyncio.gather(*asked)

    assert asyncio.run(ask()) == [FOUND] * 40
    assert look.times == 1


def test_a_caller_who_leaves_takes_the_look_from_nobody(look: Look) -> None:
    look.may_end.clear()
    probe = Probe(look, longest_seconds=30)

    async def ask() -> Any:
        leaving, staying = asyncio.create_task(probe.checks()), asyncio.create_task(probe.checks())
        await asyncio.sleep(0)
        leaving.cancel()
        look.may_end.set()
        return await staying

    assert asyncio.run(ask()) == FOUND


def test_a_look_that_hangs_is_a_database_that_does_not_answer(look: Look) -> None:
    look.may_end.clear()
    probe = Probe(look, longest_seconds=0.05)
    for _ in range(2):
        [check] = asyncio.run(probe.checks()).values()
        assert (check.check.status, check.check.detail) == (
            HealthStatus.FAILED,
            "The database does not answer (no answer).",
        )
    assert look.times == 1  # no second thread hangs beside the first


def test_a_look_that_hangs_for_long_was_not_waited_for_that_long(look: Look) -> None:
    look.may_end.clear()
    probe = Probe(look, longest_seconds=0.05, clock=look.clock)
    asyncio.run(probe.checks())
    look.at += 18
    assert asyncio.run(probe.checks())["database"].milliseconds == 50


def test_whoever_wants_no_old_checks_gets_new_ones(look: Look) -> None:
    probe = Probe(look, clock=look.clock)
    asyncio.run(probe.checks())
    look.at += 0.1
    asyncio.run(probe.checks())
    assert look.times == 1
    asyncio.run(probe.checks(fresh_seconds=0))
    assert look.times == 2


def test_a_look_that_fails_is_a_database_that_does_not_answer(look: Look) -> None:
    look.error = ValueError("broken")
    assert "(ValueError)" in (asyncio.run(Probe(look).checks())["database"].check.detail or "")


def test_a_system_without_threads_makes_one_look_fail_not_all(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    probe = Probe(look, longest_seconds=30, clock=look.clock)
    with monkeypatch.context() as full:
        full.setattr(Thread, "start", refuse)
        assert "(RuntimeError)" in (asyncio.run(probe.checks())["database"].check.detail or "")
    look.at += FRESH_SECONDS + 0.1
    assert asyncio.run(probe.checks()) == FOUND
