"""The drawings of a benchmark."""

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks import plots
from benchmarks.report import Results, document

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def bench() -> dict[str, Any]:
    results = Results(["pgbench", "naive", "ours"])
    results.add("create-1", "pgbench", {"requests/s": 900.0, "p50 ms": 1.0, "p99 ms": 2.0})
    for rate in (100.0, 300.0):
        results.add("create-1", "naive", {"requests/s": rate, "p50 ms": 9.0, "p99 ms": 20.0})
        results.add("create-1", "ours", {"requests/s": 10 * rate, "p50 ms": 3.0, "p99 ms": 40.0})
    results.add("create-512", "naive", {"requests/s": 0.0})
    results.add("create-512", "ours", {"requests/s": 50.0, "p50 ms": 30.0, "p99 ms": 400.0})
    results.add("memory", "ours", {"largest process MiB": 120.0})
    return document(results, {})


def _drawn(bench: dict[str, Any], name: str) -> ET.Element:
    return ET.fromstring(plots.svg_of(plots.plots_of(bench)[name]))


def _texts(drawing: ET.Element) -> list[str]:
    return [element.text or "" for element in drawing.iter(f"{SVG}text")]


def _dots(drawing: ET.Element, contender: str) -> list[float]:
    """Where the dots of a contender are from left to right, without the legend's."""
    found = [dot for dot in drawing.iter(f"{SVG}circle") if dot.get("class") == contender]
    return [float(dot.get("cx", "")) for dot in found][1:]


def test_each_contender_has_its_median_and_its_range(bench: dict[str, Any]) -> None:
    row = plots.plots_of(bench)["rates.svg"].rows["create-1"]
    assert [(mark.contender, mark.low, mark.at, mark.high, mark.says) for mark in row] == [
        ("pgbench", 900, 900, 900, "900"),
        ("naive", 100, 200, 300, "200"),
        ("ours", 1000, 2000, 3000, "2,000"),
    ]


def test_more_is_farther_to_the_right(bench: dict[str, Any]) -> None:
    drawing = _drawn(bench, "rates.svg")
    [naive], [pgbench] = _dots(drawing, "naive"), _dots(drawing, "pgbench")
    few, many = sorted(_dots(drawing, "ours"))
    assert few < naive < pgbench < many


def test_a_latency_reaches_from_the_median_to_the_99th_percentile(bench: dict[str, Any]) -> None:
    rows = plots.plots_of(bench)["latencies.svg"].rows
    assert [(mark.contender, mark.at, mark.high) for mark in rows["create-512"]] == [("ours", 30, 400)]
    assert "9.0 to 20" in _texts(_drawn(bench, "latencies.svg"))


def test_who_answered_nothing_has_no_mark(bench: dict[str, Any]) -> None:
    row = plots.plots_of(bench)["rates.svg"].rows["create-512"]
    assert [mark.contender for mark in row] == ["ours"]


def test_what_is_not_measured_in_requests_is_not_drawn(bench: dict[str, Any]) -> None:
    assert "memory" not in plots.plots_of(bench)["rates.svg"].rows


@pytest.mark.parametrize("name", ["rates.svg", "latencies.svg"])
def test_a_drawing_of_nothing_is_still_a_drawing(name: str) -> None:
    assert _drawn({"results": []}, name).tag == f"{SVG}svg"


def test_the_files_are_written(
    bench: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, directory = tmp_path / "bench.json", tmp_path / "images"
    source.write_text(json.dumps(bench))
    monkeypatch.setattr(sys, "argv", ["plots", str(source), str(directory)])
    plots.main()
    assert sorted(path.name for path in directory.iterdir()) == ["latencies.svg", "rates.svg"]
    assert str(directory / "rates.svg") in capsys.readouterr().out
    for path in directory.iterdir():
        assert "prefers-color-scheme: dark" in path.read_text()
