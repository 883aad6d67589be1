"""Draws the figures of a benchmark: `python -m benchmarks.plots var/bench.json docs/images`.

Writes `rates.svg` and `latencies.svg`: plain SVG, readable on a light and on a dark page.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from pathlib import Path
from typing import Any, Protocol
from xml.sax.saxutils import escape

CONTENDERS = ("pgbench", "naive", "compared", "ours")
LEFT, RIGHT, TOP, BOTTOM, WIDTH = 150, 70, 64, 34, 820
LINE, GAP = 15, 12  # of one contender, and between workloads
STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 } .small { font-size: 11px } .end { text-anchor: end }
  .middle { text-anchor: middle } .grid { stroke: #d1d9e0; stroke-width: 1 }
  .pgbench { stroke: #6e7781; fill: #6e7781 } .naive { stroke: #bc4c00; fill: #bc4c00 }
  .compared { stroke: #8250df; fill: #8250df } .ours { stroke: #0969da; fill: #0969da }
  .span { stroke-width: 3; stroke-linecap: round; stroke-opacity: .45 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .grid { stroke: #3d444d }
    .pgbench { stroke: #9198a1; fill: #9198a1 } .naive { stroke: #f0883e; fill: #f0883e }
    .compared { stroke: #ab7df8; fill: #ab7df8 } .ours { stroke: #4493f8; fill: #4493f8 }
  }
"""


@dataclass(frozen=True)
class Mark:
    """A contender's figure in a workload: a dot at `at` on a line from `low` to `high`, and what is written beside."""

    contender: str
    low: float
    at: float
    high: float
    says: str


@dataclass(frozen=True)
class Plot:
    """One drawing: for each workload its marks, on one logarithmic axis."""

    title: str
    subtitle: str
    rows: Mapping[str, Sequence[Mark]]


Found = Mapping[tuple[str, str], Mapping[str, Mapping[str, float]]]


class Marks(Protocol):
    """Makes the mark of one contender in one workload."""

    def __call__(self, found: Found, workload: str, contender: str) -> Mark: ...


def plots_of(document: Mapping[str, Any]) -> dict[str, Plot]:
    """The drawings of a benchmark's JSON, by the names of their files."""
    found: Found = {(row["workload"], row["measure"]): row["contenders"] for row in document["results"]}
    rates, latencies = _rows(found, "requests/s", _rate), _rows(found, "p50 ms", _latency)
    about = "The line is the range of all rounds. The axis is logarithmic. More is better."
    return {
        "rates.svg": Plot("Requests a second: the median of all rounds", about, rates),
        "latencies.svg": Plot(
            "Milliseconds until the answer: from the median (dot) to the 99th percentile",
            "Medians of all rounds. The axis is logarithmic. Less is better.",
            latencies,
        ),
    }


def _rows(found: Found, measure: str, mark: Marks) -> dict[str, list[Mark]]:
    rows: dict[str, list[Mark]] = {}
    for workload in dict.fromkeys(name for name, _ in found):
        marks = [
            mark(found, workload, contender=name) for name in CONTENDERS if name in found.get((workload, measure), {})
        ]
        if drawn := [one for one in marks if one.low > 0]:  # nothing was answered: there is no place for 0 on the axis
            rows[workload] = drawn
    return rows


def _rate(found: Found, workload: str, contender: str) -> Mark:
    rate = found[workload, "requests/s"][contender]
    low = rate["min"] or rate["median"]
    return Mark(contender, low, rate["median"], rate["max"], f"{rate['median']:,.0f}")


def _latency(found: Found, workload: str, contender: str) -> Mark:
    p50 = found[workload, "p50 ms"][contender]["median"]
    p99 = found[workload, "p99 ms"][contender]["median"]
    return Mark(contender, p50, p50, p99, f"{_short(p50)} to {_short(p99)}")


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def svg_of(plot: Plot) -> str:
    """A drawing as SVG."""
    marks = [mark for row in plot.rows.values() for mark in row]
    axis = _Axis.over(marks)
    height = TOP + sum(LINE * len(row) + GAP for row in plot.rows.values()) + BOTTOM
    parts = [
        f'<text class="title" x="{GAP}" y="22">{escape(plot.title)}</text>',
        f'<text class="small" x="{GAP}" y="40">{escape(plot.subtitle)}</text>',
        *_legend(sorted({mark.contender for mark in marks}, key=CONTENDERS.index)),
        *axis.drawn(height),
        *_drawn(plot, axis),
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    return "\n".join([head, f"<title>{escape(plot.title)}</title>", f"<style>{STYLE}</style>", *parts, "</svg>"]) + "\n"


@dataclass(frozen=True)
class _Axis:
    """Whole powers of ten from left to right."""

    first: int
    last: int

    @classmethod
    def over(cls, marks: Sequence[Mark]) -> "_Axis":
        first = floor(log10(min((mark.low for mark in marks), default=1)))
        return cls(first, max(ceil(log10(max((mark.high for mark in marks), default=10))), first + 1))

    def x(self, value: float) -> float:
        return LEFT + (log10(value) - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT)

    def drawn(self, height: int) -> Iterator[str]:
        for power in range(self.first, self.last + 1):
            x = f"{self.x(10.0**power):.1f}"
            yield f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP}" y2="{height - BOTTOM}"/>'
            yield f'<text class="small middle" x="{x}" y="{height - BOTTOM + 16}">{10.0**power:,g}</text>'


def _legend(contenders: Sequence[str]) -> Iterator[str]:
    for place, contender in enumerate(contenders):
        x = LEFT + 110 * place
        yield f'<circle class="{contender}" cx="{x}" cy="54" r="4"/>'
        yield f'<text class="small" x="{x + 9}" y="58">{contender}</text>'


def _drawn(plot: Plot, axis: _Axis) -> Iterator[str]:
    y = TOP + GAP
    for workload, row in plot.rows.items():
        middle = y + LINE * (len(row) - 1) / 2 + 4
        yield f'<text class="end" x="{LEFT - 12}" y="{middle:.1f}">{escape(workload)}</text>'
        for mark in row:
            low, at, high = (f"{axis.x(value):.1f}" for value in (mark.low, mark.at, mark.high))
            yield f'<line class="span {mark.contender}" x1="{low}" x2="{high}" y1="{y}" y2="{y}"/>'
            yield f'<circle class="{mark.contender}" cx="{at}" cy="{y}" r="4"/>'
            yield f'<text class="small" x="{float(high) + 8:.1f}" y="{y + 4}">{mark.says}</text>'
            y += LINE
        y += GAP


def main() -> None:
    """Write the drawings of a benchmark into a directory."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plots", description=__doc__)
    parser.add_argument("bench", type=Path, metavar="JSON", help="what `python -m benchmarks` wrote")
    parser.add_argument("directory", type=Path, metavar="DIR")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    for name, plot in plots_of(json.loads(options.bench.read_text(encoding="utf-8"))).items():
        path = options.directory / name
        path.write_text(svg_of(plot), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main()
