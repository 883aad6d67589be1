"""What repeats is recorded ever less, and an attacker cannot fill the memory or the table."""

import pytest

from app.core.repeats import MAX_KEYS, WINDOW_SECONDS, Repeats, is_power_of_ten


class Watch:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def repeats(watch: Watch) -> Repeats:
    return Repeats(watch)


def test_the_first_tenth_and_hundredth_are_recorded(repeats: Repeats) -> None:
    assert [count for count in (repeats.note("a") for _ in range(250)) if count is not None] == [1, 10, 100]


def test_each_key_is_counted_apart(repeats: Repeats) -> None:
    assert [repeats.note(key) for key in ("a", "b", "a", "b")] == [1, 1, None, None]


def test_the_next_minute_counts_anew(repeats: Repeats, watch: Watch) -> None:
    assert [repeats.note("a"), repeats.note("a")] == [1, None]
    watch.seconds += WINDOW_SECONDS - 1
    assert repeats.note("a") is None
    watch.seconds += 1
    assert repeats.note("a") == 1


def test_many_keys_in_a_minute_count_as_one(repeats: Repeats, watch: Watch) -> None:
    recorded = [count for count in (repeats.note(key) for key in range(MAX_KEYS + 1000)) if count is not None]
    assert len(recorded) == MAX_KEYS + 4  # of all beyond the limit: the 1st, 10th, 100th and 1,000th
    assert repeats.note(0) is None
    watch.seconds += WINDOW_SECONDS
    assert repeats.note("another") == 1


@pytest.mark.parametrize(
    ("count", "is_one"), [(1, True), (2, False), (10, True), (20, False), (100, True), (110, False), (10**6, True)]
)
def test_powers_of_ten(count: int, is_one: bool) -> None:
    assert is_power_of_ten(count) is is_one
