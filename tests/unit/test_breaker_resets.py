"""What a reset of circuit breakers changes for the attempts that were under way, and how much a worker remembers."""

from datetime import UTC, datetime

from app.services.delivery.breaker import OPENS_AFTER, Breakers

KEY = ("email", "outbox")


def test_what_is_put_off_while_the_reset_comes_is_not_kept_waiting() -> None:
    breakers, at = Breakers(), 100.0
    due = datetime(2026, 11, 30, tzinfo=UTC)
    assert breakers.hold([(KEY, 1, due)], asked_at=at) == {}
    assert breakers.reset(*KEY, at=at + 1) == ([], {1: due})
    assert breakers.hold([(KEY, 2, due)], asked_at=at + 0.5) == {2: due}
    assert breakers.reset("email", None, at=at + 2) == ([], {})


def test_after_a_reset_it_takes_five_fresh_messages_to_open_it_again() -> None:
    breakers = Breakers()
    for number in range(OPENS_AFTER):
        breakers.record(*KEY, number, error="503", at=0.0, began_at=0.0)
    closed, _ = breakers.reset("email", None, at=10.0)
    assert closed == [KEY]
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
