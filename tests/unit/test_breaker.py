"""When a provider that fails is left alone, and how it comes back."""

from app.services.delivery.breaker import OPENS_AFTER, Breakers
from app.services.delivery.breaker_state import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS

HOOK = ("webhook", "hooks.example")


def opened() -> Breakers:
    breakers = Breakers()
    moved = [breakers.record(*HOOK, number, error="503", at=0.0) for number in range(OPENS_AFTER)]
    assert moved == [False] * (OPENS_AFTER - 1) + [True]
    return breakers


def test_messages_that_fail_one_after_the_other_open_it() -> None:
    breakers = opened()
    assert breakers.wait_seconds(*HOOK, at=1.0) == FIRST_PAUSE_SECONDS - 1.0
    assert breakers.wait_seconds("webhook", "another.example", at=1.0) == 0.0
    assert breakers.wait_seconds("sms", HOOK[1], at=1.0) == 0.0


def test_one_message_that_keeps_failing_says_little_about_its_provider() -> None:
    breakers = Breakers()
    assert not any(breakers.record(*HOOK, 1, error="503", at=0.0) for _ in range(10 * OPENS_AFTER))
    assert breakers.wait_seconds(*HOOK, at=0.0) == 0.0


def test_a_success_in_between_begins_the_count_anew() -> None:
    breakers = Breakers()
    for number in range(10 * OPENS_AFTER):
        error = None if number % OPENS_AFTER == 0 else "503"
        assert not breakers.record(*HOOK, number, error=error, at=0.0)


def test_after_the_pause_one_message_probes_and_its_success_closes_it() -> None:
    breakers = opened()
    waits = [breakers.wait_seconds(*HOOK, at=FIRST_PAUSE_SECONDS) for _ in range(3)]
    assert waits == [0.0, FIRST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS]
    assert breakers.record(*HOOK, 1, error=None, at=FIRST_PAUSE_SECONDS)
    assert breakers.wait_seconds(*HOOK, at=FIRST_PAUSE_SECONDS) == 0.0
    assert breakers.report() == {}


def test_pauses_double_up_to_a_limit() -> None:
    breakers, now, pauses = opened(), 0.0, []
    for number in range(5):
        pauses.append(breakers.wait_seconds(*HOOK, at=now))
        now += pauses[-1]
        assert breakers.wait_seconds(*HOOK, at=now) == 0.0
        assert not breakers.record(*HOOK, number, error="503", at=now)
    assert pauses == [5.0, 10.0, *[LONGEST_PAUSE_SECONDS] * 3]


def test_a_probe_that_ends_without_a_word_is_followed_by_another() -> None:
    breakers = opened()
    probed_at = [now for now in range(100) if breakers.wait_seconds(*HOOK, at=float(now)) == 0.0]
    assert probed_at == list(range(5, 100, 5))


def test_what_was_under_way_when_it_opened_makes_the_pause_no_longer() -> None:
    breakers = opened()
    assert not breakers.record(*HOOK, 99, error="503", at=1.0)
    assert breakers.wait_seconds(*HOOK, at=1.0) == FIRST_PAUSE_SECONDS - 1.0


def test_the_operator_sees_which_provider_fails_and_why() -> None:
    found = {"state": "open", "failing_messages": OPENS_AFTER, "last_error": "503"}
    assert opened().report() == {"webhook": {"hooks.example": found}}


def test_hours_of_failures_are_no_error() -> None:
    breakers = opened()
    for number in range(2000):
        now = 100.0 * number + 100
        assert breakers.wait_seconds(*HOOK, at=now) == 0.0
        assert not breakers.record(*HOOK, number, error="503", at=now)
        assert breakers.wait_seconds(*HOOK, at=now) <= LONGEST_PAUSE_SECONDS
