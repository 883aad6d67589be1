"""Writes metrics for Prometheus: in its text format, or in OpenMetrics 1.0 if the scraper asks for that.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from app.core.instruments import Counter, Gauge, Histogram, Labels, Metric, Readings, Registry

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
STARTS = "ims_process_starts_total"  # not 0 in the row of every process that ever counted
QUALITY = re.compile(r";\s*q=([01](?:\.\d*)?)\s*(?:;|$)", re.ASCII)
ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def wants_open_metrics(accept: str) -> bool:
    """True if an Accept header names OpenMetrics, as Prometheus does, and likes it no less than text (RFC 9110)."""
    wanted = dict(sorted((_quality(one) for one in accept.lower().split(",")), key=itemgetter(1)))
    quality = wanted.get(_type_of(OPEN_METRICS), 0.0)
    return quality > 0 and quality >= wanted.get(_type_of(TEXT), 0.0)


def _quality(media_range: str) -> tuple[str, float]:
    """A type of an Accept header, and how much it is wanted: from 0, not at all, to 1."""
    found = QUALITY.search(media_range)
    return _type_of(media_range), float(found[1]) if found else 1.0


def _type_of(media_type: str) -> str:
    return media_type.partition(";")[0].strip()


def render(registry: Registry, readings: Readings, *, is_open_metrics: bool) -> str:
    """All metrics. Those that are read, but are not among the `readings`, are left out: nobody knows them now."""
    starts = registry.metrics[STARTS].series[()].at
    totals = registry.tally.totals(registry.used, starts)
    live = registry.tally.live()
    lines: list[str] = []
    for metric in registry.metrics.values():
        samples = list(_samples(metric, totals, live, readings))
        if samples:
            lines += [*_head(metric, is_open_metrics=is_open_metrics), *samples]
    return "\n".join([*lines, "# EOF", ""] if is_open_metrics else [*lines, ""])


def _head(metric: Metric[Any], *, is_open_metrics: bool) -> Iterator[str]:
    """OpenMetrics names a counter without the `_total` of its samples."""
    name = metric.name.removesuffix("_total") if is_open_metrics and metric.kind == "counter" else metric.name
    yield f"# HELP {name} {metric.meaning}"
    yield f"# TYPE {name} {metric.kind}"


def _samples(
    metric: Metric[Any], totals: Sequence[float], live: Mapping[int, Sequence[float]], readings: Readings
) -> Iterator[str]:
    match metric:
        case Histogram():
            yield from _buckets(metric, totals)
        case Counter():
            yield from _counts(metric, totals)
        case Gauge():
            for number, row in live.items():
                yield f'{metric.name}{{process="{number}"}} {row[metric.series[()].at]!r}'
        case _:
            yield from _readings(metric, readings)


def _counts(metric: Counter, totals: Sequence[float]) -> Iterator[str]:
    for labels, series in metric.series.items():
        if totals[series.at] or not series.is_shy:
            yield f"{metric.name}{_shown(metric.labels, labels)} {totals[series.at]!r}"


def _readings(metric: Metric[Any], readings: Readings) -> Iterator[str]:
    """A series that was declared, and is not among what was read, is 0."""
    found = readings.get(metric.name)
    if found is None:
        return
    for labels in metric.series.keys() | found.keys():
        yield f"{metric.name}{_shown(metric.labels, labels)} {float(found.get(labels, 0.0))!r}"


def _buckets(metric: Histogram, totals: Sequence[float]) -> Iterator[str]:
    """Each bucket holds what the smaller ones hold, too."""
    bounds = [*map(repr, metric.bounds), "+Inf"]
    for labels, series in metric.series.items():
        count, numbers = 0.0, totals[series.at : series.at + len(bounds)]
        for bound, number in zip(bounds, numbers, strict=True):
            count += number
            shown = _shown((*metric.labels, "le"), (*labels, bound))
            yield f"{metric.name}_bucket{shown} {count!r}"
        shown = _shown(metric.labels, labels)
        yield f"{metric.name}_sum{shown} {totals[series.at + len(bounds)]!r}"
        yield f"{metric.name}_count{shown} {count!r}"


def _shown(names: Labels, values: Labels) -> str:
    pairs = [f'{name}="{value.translate(ESCAPES)}"' for name, value in zip(names, values, strict=True)]
    return f"{{{','.join(pairs)}}}" if pairs else ""
