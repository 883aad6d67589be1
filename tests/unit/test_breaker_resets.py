"""What a reset of circuit breakers changes for the attempts that were under way, and how much a worker remembers."""

from datetime import UTC, datetime

from app.services.delivery.breaker import OPENS_AFTER, Breakers
from app.services.delivery.breaker_state import FIRST_PAUSE_SECONDS

KEY = ("email", "outbox")
DUE = datetime(2026, 11, 30, tzinfo=UTC)


def opened() -> Breakers:
    breakers = Breakers()
    for number in range(OPENS_AFTER):
        breakers.record(*KEY, number, error="503", at=0.0, began_at=0.0)
    return breakers


def test_what_is_put_off_while_the_reset_comes_is_not_kept_waiting() -> None:
    breakers = opened()
    assert breakers.hold([(KEY, 1, DUE)], asked_at=1.0) == {}
    breakers.reset(*KEY, at=2.0)
    assert breakers.take_freed(10) == {1: DUE}
    assert breakers.hold([(KEY, 2, DUE)], asked_at=1.5) == {2: DUE}
    breakers.reset("email", None, at=3.0)
    assert breakers.take_freed(10) == {}


def test_what_waits_for_the_probe_is_freed_by_its_success() -> None:
    breakers = opened()
    assert [breakers.wait_seconds(*KEY, at=20.0) for _ in range(2)] == [0.0, FIRST_PAUSE_SECONDS]
    breakers.hold([(KEY, 2, DUE), (("sms", "outbox"), 3, DUE)], asked_at=20.0)
    assert breakers.record(*KEY, 1, error=None, at=21.0)
    assert breakers.take_freed(10) == {2: DUE}
    assert breakers.hold([(KEY, 4, DUE)], asked_at=20.0) == {4: DUE}


def test_what_was_freed_is_taken_in_batches_and_once() -> None:
    breakers = opened()
    breakers.hold([(KEY, number, DUE) for number in range(5)], asked_at=1.0)
    breakers.reset(*KEY, at=2.0)
    assert [len(breakers.take_freed(2)) for _ in range(4)] == [2, 2, 1, 0]


def test_after_a_reset_it_takes_five_fresh_messages_to_open_it_again() -> None:
    breakers = opened()
    assert breakers.reset("email", None, at=10.0) == [KEY]
    for number in range(10 * OPENS_AFTER):
        assert not breakers.record(*KEY, number, error="503", at=11.0, began_at=9.0)
    assert breakers.report() == {}
    fresh = [breakers.record(*KEY, 100 + number, error="503", at=12.0, began_at=11.0) for number in range(OPENS_AFTER)]
    assert fresh == [False] * (OPENS_AFTER - 1) + [True]


def test_a_success_that_began_before_the_reset_closes_what_has_opened_since() -> None:
    breakers = Breakers()
    breakers.reset("email", None, at=10.0)
    for number in range(OPENS_AFTER):
        breakers.record(*KEY, number, error="503", at=11.0, began_at=10.5)
    assert breakers.record(*KEY, 99, error=None, at=12.0, began_at=9.0)


def test_many_providers_take_no_more_room() -> None:
    breakers = Breakers()
    for number in range(2000):
        breakers.record("webhook", f"host-{number}", 1, error="503", at=float(number))
    assert len(breakers.report()["webhook"]) == 500
    assert "host-1999" in breakers.report()["webhook"]
    for number in range(5000):
        breakers.record(*KEY, number, error="503", at=2000.0)
    assert breakers.report()["email"]["outbox"]["failing_messages"] == 1000
    assert breakers.forget_idle(4000.0) == [KEY]
    assert breakers.report() == {}
    assert breakers.take_moved() == {KEY: None}
