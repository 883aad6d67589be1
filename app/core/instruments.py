"""Counters, histograms and gauges whose series all exist from the start.

Series are declared once, from closed sets of label values, and looked up before they are needed: what happens for each
request is an addition. Declare the same series in the same order in all processes that share a tally.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any, ClassVar, Generic, TypeVar

from app.core.tally import NUMBERS, Tally

OTHER = "other"  # stands for a label value outside its closed set

Labels = tuple[str, ...]
Readings = Mapping[str, Mapping[Labels, float]]  # what was read for gauges: by metric, by label values


class Count:
    """One series of a counter."""

    __slots__ = ("_tally", "at", "is_shy")

    def __init__(self, tally: Tally, at: int, *, is_shy: bool = False) -> None:
        self._tally = tally
        self.at = at
        self.is_shy = is_shy

    def add(self, amount: float = 1.0) -> None:
        """Count."""
        tally = self._tally
        with tally.lock:
            tally.row[self.at] += amount


class Level:
    """One series of a gauge that each process sets for itself."""

    __slots__ = ("_tally", "at")

    def __init__(self, tally: Tally, at: int) -> None:
        self._tally = tally
        self.at = at

    def set(self, value: float) -> None:
        self._tally.row[self.at] = value


class Spread:
    """One series of a histogram: a number for each bucket, then the sum."""

    __slots__ = ("_bounds", "_sum", "_tally", "at")

    def __init__(self, tally: Tally, at: int, bounds: tuple[float, ...]) -> None:
        self._tally = tally
        self._bounds = bounds
        self._sum = at + len(bounds) + 1
        self.at = at

    def observe(self, value: float) -> None:
        """Count a value: seconds, in all histograms there are."""
        tally, bucket = self._tally, self.at + bisect_left(self._bounds, value)
        with tally.lock:
            tally.row[bucket] += 1.0
            tally.row[self._sum] += value


Series = TypeVar("Series")


class Metric(Generic[Series]):
    """A metric with all of its series, by their label values."""

    kind: ClassVar[str]

    def __init__(self, registry: "Registry", name: str, meaning: str, labels: tuple[str, ...]) -> None:
        self.name, self.meaning, self.labels = name, meaning, labels
        self.series: dict[Labels, Series] = {}
        self._registry = registry
        registry.metrics[name] = self
        if not labels:
            self.declare()

    def declare(self, **values: Iterable[str]) -> None:
        """Declare the series of every combination of label values."""
        for labels in product(*(values[label] for label in self.labels)):
            self.one(*labels)

    def one(self, *labels: str) -> Series:
        """The series of these label values; declared if it is new."""
        if labels not in self.series:
            self.series[labels] = self._make()
        return self.series[labels]

    def of(self, *labels: str) -> Series:
        """The declared series of these label values. A value outside its set counts as `other`."""
        found = self.series.get(labels)
        return found if found is not None else self.series[self._known(labels)]

    def _known(self, labels: Labels) -> Labels:
        known = [set(values) for values in zip(*self.series, strict=True)]
        return tuple(label if label in values else OTHER for label, values in zip(labels, known, strict=True))

    def _make(self) -> Series:
        raise NotImplementedError


class Counter(Metric[Count]):
    """What only rises, in all processes together."""

    kind = "counter"

    def add(self, amount: float = 1.0) -> None:
        """Count in the only series of a counter without labels."""
        self.series[()].add(amount)

    def shy(self, *labels: str) -> Count:
        """A series that is shown only once it has counted: there are many of them, and most never will."""
        if labels not in self.series:
            self.series[labels] = Count(self._registry.tally, self._registry.take(1), is_shy=True)
        return self.series[labels]

    def _make(self) -> Count:
        return Count(self._registry.tally, self._registry.take(1))


class Gauge(Metric[Level]):
    """What each process sets for itself. The label `process` is added when it is shown."""

    kind = "gauge"

    def set(self, value: float) -> None:
        """Set the only series of this process."""
        self.series[()].set(value)

    def _make(self) -> Level:
        return Level(self._registry.tally, self._registry.take(1))


class Reading(Metric[None]):
    """What is read when somebody asks: one truth, whichever process is asked. Unread, it is not shown at all."""

    kind = "gauge"

    def _make(self) -> None:
        return None


class CountReading(Reading):
    """What is read, and only rises."""

    kind = "counter"


class Histogram(Metric[Spread]):
    """How often values fell into each bucket, in all processes together."""

    kind = "histogram"

    def __init__(
        self, registry: "Registry", name: str, meaning: str, labels: tuple[str, ...], bounds: tuple[float, ...]
    ) -> None:
        self.bounds = bounds
        super().__init__(registry, name, meaning, labels)

    def observe(self, value: float) -> None:
        """Count a value in the only series of a histogram without labels."""
        self.series[()].observe(value)

    def _make(self) -> Spread:
        return Spread(self._registry.tally, self._registry.take(len(self.bounds) + 2), self.bounds)


class Registry:
    """All metrics of a process, and the tally that has their numbers."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.metrics: dict[str, Metric[Any]] = {}
        self.used = 0

    def take(self, numbers: int) -> int:
        """The place of so many new numbers."""
        at, self.used = self.used, self.used + numbers
        if self.used > NUMBERS:
            raise RuntimeError(f"the metrics need more than {NUMBERS} numbers: raise NUMBERS in app.core.tally")
        return at

    def levels(self) -> Iterator[Level]:
        """Every series that a process sets for itself."""
        for metric in self.metrics.values():
            if isinstance(metric, Gauge):
                yield from metric.series.values()
