"""Alarms ring at their times, whatever happens to the others."""

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

from app.integrations.alarms import Alarms, alarms

SECONDS = 30.0  # enough for any machine


def into(rung: "SimpleQueue[str]", name: str) -> Callable[[], None]:
    return lambda: rung.put(name)


def test_alarms_ring_in_order_of_their_times_however_they_were_set() -> None:
    rung: SimpleQueue[str] = SimpleQueue()
    waiting = Alarms()
    for seconds in (0.3, 0.1, 0.2):
        waiting.after(seconds, into(rung, str(seconds)))
    assert [rung.get(timeout=SECONDS) for _ in range(3)] == ["0.1", "0.2", "0.3"]


def test_an_earlier_alarm_does_not_wait_for_one_that_was_set_before() -> None:
    rung: SimpleQueue[str] = SimpleQueue()
    waiting = Alarms()
    waiting.after(3600, into(rung, "in an hour"))
    waiting.after(0.01, into(rung, "now"))
    assert rung.get(timeout=SECONDS) == "now"


def test_a_cancelled_alarm_does_not_ring() -> None:
    rung: SimpleQueue[str] = SimpleQueue()
    waiting = Alarms()
    cancelled = waiting.after(0.1, into(rung, "cancelled"))
    waiting.after(0.2, into(rung, "next"))
    cancelled.cancel()
    assert rung.get(timeout=SECONDS) == "next"


def test_an_alarm_that_fails_silences_no_other() -> None:
    rung: SimpleQueue[str] = SimpleQueue()
    waiting = Alarms()
    waiting.after(0, lambda: 1 / 0)
    waiting.after(0.01, into(rung, "next"))
    assert rung.get(timeout=SECONDS) == "next"


def test_alarms_ring_in_a_copy_of_the_process() -> None:
    before = alarms()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            alarms().after(0.01, lambda: os.write(writing, b"rang") and os._exit(0))
            threading.Event().wait(SECONDS)
        finally:
            os._exit(1)
    assert alarms() is before
    os.close(writing)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reading, 4) == b"rang"
    os.close(reading)
