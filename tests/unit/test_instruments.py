"""Counters, histograms and gauges: their series are declared, and a value outside its set counts as `other`."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from app.core.instruments import OTHER, Counter, Histogram, Registry
from app.core.tally import NUMBERS


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_a_declared_series_counts_by_its_labels(registry: Registry) -> None:
    sent = Counter(registry, "sent_total", "Sent", ("channel", "outcome"))
    sent.declare(channel=("email", OTHER), outcome=("accepted", "dead"))
    sent.of("email", "dead").add()
    sent.of("email", "dead").add(2)
    numbers = {labels: registry.tally.row[series.at] for labels, series in sent.series.items()}
    assert numbers == {
        ("email", "accepted"): 0, ("email", "dead"): 3, (OTHER, "accepted"): 0, (OTHER, "dead"): 0,
    }  # fmt: skip


def test_a_value_outside_its_set_counts_as_other(registry: Registry) -> None:
    sent = Counter(registry, "sent_total", "Sent", ("channel", "outcome"))
    sent.declare(channel=("email", OTHER), outcome=("accepted", "dead"))
    assert sent.of("carrier pigeon", "dead") is sent.series[OTHER, "dead"]


def test_no_two_series_share_a_number(registry: Registry) -> None:
    metrics: list[Counter | Histogram] = [
        Counter(registry, "a_total", "A", ()),
        Histogram(registry, "b_seconds", "B", (), (1.0, 2.0)),
        Counter(registry, "c_total", "C", ()),
    ]
    at = [metric.series[()].at for metric in metrics]
    assert [after - before for before, after in pairwise([*at, registry.used])] == [1, 4, 1]


def test_declaring_a_series_again_changes_nothing(registry: Registry) -> None:
    sent = Counter(registry, "sent_total", "Sent", ("channel",))
    first = sent.one("email")
    used = registry.used
    assert (sent.one("email"), sent.shy("email"), registry.used) == (first, first, used)


@pytest.mark.parametrize(
    ("value", "bucket"), [(0.0, 0), (1.0, 0), (1.1, 1), (2.0, 1), (2.1, 2), (float("inf"), 2), (-1.0, 0)]
)
def test_a_value_falls_into_the_first_bucket_that_holds_it(registry: Registry, value: float, bucket: int) -> None:
    seconds = Histogram(registry, "seconds", "Time", (), (1.0, 2.0))
    seconds.observe(value)
    assert [number for number, count in enumerate(registry.tally.row[:3]) if count] == [bucket]
    assert registry.tally.row[3] == value


def test_threads_lose_no_count(registry: Registry) -> None:
    counter = Counter(registry, "sent_total", "Sent", ())

    def add_often() -> None:
        for _ in range(5_000):
            counter.add()

    with ThreadPoolExecutor(8) as threads:
        for _ in range(8):
            threads.submit(add_often)
    assert registry.tally.row[0] == 40_000


def test_too_many_series_are_refused_when_they_are_declared(registry: Registry) -> None:
    registry.take(NUMBERS)
    with pytest.raises(RuntimeError, match=f"more than {NUMBERS} numbers"):
        registry.take(1)
