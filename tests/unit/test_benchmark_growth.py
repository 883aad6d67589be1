"""The comparison of a small and a large database: its rounds and its table."""

from collections.abc import Callable

from benchmarks.growth import _in_turns, report


def test_each_round_asks_both_and_the_first_does_not_count() -> None:
    asked: list[str] = []

    def asking(which: str) -> Callable[[], None]:
        return lambda: asked.append(which)

    times = _in_turns([asking("small"), asking("large")], 2)
    assert asked == ["small", "large"] * 3
    assert [len(taken) for taken in times] == [2, 2]


def test_the_table_has_the_ratio() -> None:
    table = report({"list": [2.0, 3.0]}, [1_000, 1_000_000])
    assert table.splitlines() == [
        "| what | ms at 1,000 | ms at 1,000,000 | ratio |",
        "|---|--:|--:|--:|",
        "| list | 2.00 | 3.00 | 1.50 |",
    ]
