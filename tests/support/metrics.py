"""What the metrics of this process say, and how a test has changed them."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.core import metrics
from app.core.exposition import render

Samples = dict[str, float]


def samples(text: str) -> Samples:
    """The value of each series, as it is shown."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def counted() -> Samples:
    """What this process has counted so far."""
    return samples(render(metrics.registry, {}, is_open_metrics=False))


@contextmanager
def counting(*names: str) -> Iterator[Samples]:
    """What is counted within the block in the series of these metrics, once it has ended. Without those that stay."""
    change: Samples = {}
    before = counted()
    yield change
    for series, value in counted().items():
        if series.startswith(names) and value != before.get(series, 0.0):
            change[series] = value - before.get(series, 0.0)
