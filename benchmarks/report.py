"""Medians, spread and ratios, as a table and as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log, sqrt
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

OURS, COMPARED = "ours", "compared"
FEWEST_ROUNDS = 3  # fewer say nothing about how certain a ratio is
Key = tuple[str, str]  # workload and measure
ERRORS = "errors"
HIDDEN = ("generator % of a core", "longest gap ms")  # in the JSON only


@dataclass(frozen=True)
class Derived:
    """A ratio of two measures of one contender in one round."""

    workload: str
    measure: str
    numerator: Key
    denominator: Key


DERIVED = (
    Derived("create-512", "rate against create-32", ("create-512", "requests/s"), ("create-32", "requests/s")),
    Derived("create-512", "p99 / p50", ("create-512", "p99 ms"), ("create-512", "p50 ms")),
    Derived("webhook-busy", "p99 against alone", ("webhook-busy", "p99 ms"), ("webhook-alone", "p99 ms")),
)


@dataclass
class Results:
    """What each contender made of each measure, round by round."""

    contenders: Sequence[str]
    values: dict[Key, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, workload: str, contender: str, measures: Mapping[str, float]) -> None:
        for measure, value in measures.items():
            self.values.setdefault((workload, measure), {}).setdefault(contender, []).append(value)

    def rows(self) -> dict[Key, dict[str, list[float]]]:
        """Everything measured and derived, each workload's rows together."""
        derived = {(one.workload, one.measure): self._derive(one) for one in DERIVED}
        everything = self.values | {key: values for key, values in derived.items() if values}
        order = {workload: place for place, (workload, _) in reversed(list(enumerate(self.values)))}
        return dict(sorted(everything.items(), key=lambda row: (order[row[0][0]], row[0][1] == ERRORS)))

    def _derive(self, one: Derived) -> dict[str, list[float]]:
        above, below = self.values.get(one.numerator, {}), self.values.get(one.denominator, {})
        return {
            contender: [a / b if b else 0.0 for a, b in zip(above[contender], below[contender], strict=False)]
            for contender in self.contenders
            if contender in above and contender in below
        }


def ratio(values: Mapping[str, Sequence[float]], other: str) -> float | None:
    """Our median divided by the other's; None where there is nothing to divide."""
    if not values.get(OURS) or not values.get(other):
        return None
    below = median(values[other])
    return median(values[OURS]) / below if below else None


def ratio_of_rounds(values: Mapping[str, Sequence[float]], other: str) -> tuple[float, float] | None:
    """The geometric mean of our value divided by the other's in the same round, and its standard error.

    None with too few rounds. It is more certain than a ratio of medians: what disturbs a round disturbs both.
    """
    logs = [log(a / b) for a, b in zip(values.get(OURS, []), values.get(other, []), strict=False) if a > 0 and b > 0]
    if len(logs) < FEWEST_ROUNDS:
        return None
    middle = exp(mean(logs))
    return middle, middle * stdev(logs) / sqrt(len(logs))


def table(results: Results) -> str:
    """One line for each measure: the median and the spread of each contender, and ours against the others."""
    others = [name for name in results.contenders if name != OURS]
    is_comparison = COMPARED in others
    ratio_heads = [*(f"{OURS}/{other}" for other in others), *["round by round"] * is_comparison]
    lines = [["workload", "measure", *results.contenders, *ratio_heads]]
    last = ""
    for (workload, measure), values in results.rows().items():
        if measure in HIDDEN or _is_boring(measure, values):
            continue
        cells = [cell(values.get(name, [])) for name in results.contenders]
        ratios = [_number(found) if (found := ratio(values, other)) is not None else "" for other in others]
        if is_comparison:
            ratios.append(_certain(ratio_of_rounds(values, COMPARED)))
        lines.append(["" if workload == last else workload, measure, *cells, *ratios])
        last = workload
    return _aligned(lines)


def _certain(found: tuple[float, float] | None) -> str:
    return f"{found[0]:.3f} ± {found[1]:.3f}" if found is not None else ""


def _is_boring(measure: str, values: Mapping[str, Sequence[float]]) -> bool:
    return measure == ERRORS and not any(any(of) for of in values.values())


def cell(values: Sequence[float]) -> str:
    """`median (least-most)`."""
    if not values:
        return ""
    if len(values) == 1:
        return _number(values[0])
    return f"{_number(median(values))} ({_number(min(values))}-{_number(max(values))})"


def _number(value: float) -> str:
    """Three digits that count, and no decimals that do not."""
    size = abs(value)
    if value == int(value) or size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    formed = []
    for line in lines:
        words = [text.ljust(width) if place < 2 else text.rjust(width) for place, (text, width) in _sized(line, widths)]
        formed.append("  ".join(words).rstrip())
    formed.insert(1, "-" * max(map(len, formed)))
    return "\n".join(formed)


def _sized(line: Sequence[str], widths: Sequence[int]) -> "enumerate[tuple[str, int]]":
    return enumerate(zip(line, widths, strict=True))


def document(results: Results, about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, for programs."""
    others = [name for name in results.contenders if name != OURS]
    rows = []
    for (workload, measure), values in results.rows().items():
        summary = {
            name: {"median": median(of), "min": min(of), "max": max(of), "rounds": list(of)}
            for name, of in values.items()
            if of
        }
        ratios = {f"{OURS}/{other}": found for other in others if (found := ratio(values, other)) is not None}
        row = {"workload": workload, "measure": measure, "contenders": summary, "ratios": ratios}
        if (certain := ratio_of_rounds(values, COMPARED)) is not None:
            row["round_by_round"] = {"ratio": certain[0], "standard_error": certain[1]}
        rows.append(row)
    return {"about": dict(about), "results": rows}


def write(path: Path, results: Results, about: Mapping[str, Any]) -> None:
    """Keep everything as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(results, about), indent=2) + "\n", encoding="utf-8")
