"""What a lane holds: messages in threads, those that have ended, and how many there should be."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from app.core.channel import Outcome
from app.core.vocabulary import AttemptOutcome
from app.models import Notification
from app.services.delivery.recording_service import Attempt
from app.worker.flight import MOST, Flight, Pace

SECONDS = 30.0  # enough for any machine


def attempt(message: Notification) -> Attempt:
    return Attempt(message, Outcome(AttemptOutcome.ACCEPTED), datetime(2026, 1, 1, tzinfo=UTC), latency_ms=1)


def messages(number: int) -> list[Notification]:
    return [Notification(id=id_) for id_ in range(number)]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """One thread: it takes one message after the other."""
    with ThreadPoolExecutor(1) as one:
        yield one


@contextmanager
def held(flight: Flight, message: Notification) -> Iterator[None]:
    """A flight whose thread is busy with this message."""
    begun, gate = threading.Event(), threading.Event()

    def send() -> Attempt:
        begun.set()
        gate.wait(SECONDS)
        return attempt(message)

    flight.start(message, send)
    assert begun.wait(SECONDS)
    yield
    gate.set()


def test_what_has_ended_is_returned_together_and_no_longer_held(threads: ThreadPoolExecutor) -> None:
    flight = Flight(threads)
    first, second, third = messages(3)
    with held(flight, first):
        flight.start(second, lambda: attempt(second))
        flight.start(third, lambda: attempt(third))
        assert len(flight) == 3
        assert flight.ended(within=0) == []
    threads.submit(lambda: None).result(SECONDS)  # the thread has ended all three
    assert [one.message for one in flight.ended(within=SECONDS)] == [first, second, third]
    assert (len(flight), flight.ended(within=0)) == (0, [])


def test_what_was_not_needed_ends_without_an_attempt(threads: ThreadPoolExecutor) -> None:
    flight = Flight(threads)
    [message] = messages(1)
    flight.start(message, lambda: None)
    assert flight.ended(within=SECONDS) == []
    assert len(flight) == 0


def test_only_what_no_thread_has_begun_is_taken_back(threads: ThreadPoolExecutor) -> None:
    flight = Flight(threads)
    first, second, third = messages(3)
    with held(flight, first):
        for message in (second, third):
            flight.start(message, lambda: pytest.fail("it was taken back"))
        assert flight.not_begun() == [second, third]
        assert len(flight) == 1
    assert [one.message for one in flight.rest()] == [first]


def test_the_rest_has_also_what_ended_before(threads: ThreadPoolExecutor) -> None:
    flight = Flight(threads)
    first, second, third = messages(3)
    flight.start(first, lambda: attempt(first))
    flight.start(second, lambda: None)
    threads.submit(lambda: None).result(SECONDS)
    with held(flight, third):
        assert flight.not_begun() == []
    assert {one.message.id for one in flight.rest()} == {first.id, third.id}


def room(*sent: tuple[float, int], at: float, width: int = 5) -> int:
    """The room at a time, after so many messages were sent at earlier ones."""
    times = iter([*(time for time, _ in sent), *[at] * 100])
    pace = Pace(width, lambda: next(times))
    for _, number in sent:
        pace.note(number)
    return pace.room()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([], 10),
        ([(9.95, 3)], 10),
        ([(9.95, 11)], 11),
        ([(9.92, 8), (9.95, 9)], 17),
        ([(9.7, 50), (9.95, 12)], 12),
        ([(9.7, 50)], 10),
        ([(9.95, MOST), (9.96, 1)], MOST),
    ],
)
def test_it_holds_what_was_sent_in_the_last_fifth_of_a_second(sent: list[tuple[float, int]], expected: int) -> None:
    assert room(*sent, at=10.0) == expected


def test_many_threads_have_two_messages_each_however_many_that_is() -> None:
    assert room((9.95, 1000), at=10.0, width=MOST) == 2 * MOST
