"""What the benchmark makes of its figures: percentiles, medians, ratios, the table."""

from collections import Counter

import pytest

from benchmarks.load import Sample, percentile
from benchmarks.report import Results, cell, document, ratio, ratio_of_rounds, table


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, 0.0),
        ([3.0], 0.99, 3.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([1.0, 2.0, 3.0], 0.5, 2.0),
        ([float(number) for number in range(1, 101)], 0.99, 99.0),
        ([float(number) for number in range(1, 101)], 1.0, 100.0),
        ([float(number) for number in range(1, 201)], 0.99, 198.0),
    ],
)
def test_a_percentile_is_the_nearest_rank(values: list[float], share: float, expected: float) -> None:
    assert percentile(values, share) == expected


def test_only_good_answers_count_as_throughput_and_the_rest_as_errors() -> None:
    answers = Counter({"201": 90, "200": 10, "500": 3, "409": 1, "unanswered": 2, "broken": 1})
    sample = Sample(seconds=2.0, latencies=[], answers=answers, longest_gap=0.0)
    assert (sample.rate, sample.errors) == (50.0, 7)


def results() -> Results:
    found = Results(["pgbench", "naive", "ours"])
    for naive, ours in ((100, 900), (110, 1000), (400, 1100)):
        found.add("create-32", "pgbench", {"requests/s": 2000, "errors": 0})
        found.add("create-32", "naive", {"requests/s": naive, "errors": 0})
        found.add("create-32", "ours", {"requests/s": ours, "errors": 0})
    for ours in (450, 800, 1100):
        found.add("create-512", "ours", {"requests/s": ours, "p50 ms": 100, "p99 ms": 250, "errors": 4})
    found.add("memory", "ours", {"largest process MiB": 120.5})
    return found


def test_a_ratio_is_of_medians_so_that_one_odd_round_does_not_show() -> None:
    values = results().values["create-32", "requests/s"]
    assert (ratio(values, "naive"), ratio(values, "pgbench")) == (1000 / 110, 0.5)


def test_there_is_no_ratio_to_what_was_not_measured_or_is_nothing() -> None:
    assert ratio({"ours": [1.0]}, "naive") is None
    assert ratio({"ours": [1.0], "naive": [0.0]}, "naive") is None


def compared() -> Results:
    found = Results(["ours", "compared"])
    for ours, other in ((100, 100), (220, 200), (45, 50)):
        found.add("read", "ours", {"requests/s": ours})
        found.add("read", "compared", {"requests/s": other})
    return found


def test_two_checkouts_are_compared_round_by_round_with_the_standard_error() -> None:
    certain = ratio_of_rounds(compared().values["read", "requests/s"], "compared")
    assert certain == pytest.approx(((1.1 * 0.9) ** (1 / 3), 0.0577), abs=1e-3)
    head, _, line = table(compared()).splitlines()
    assert head.endswith("round by round")
    assert line.endswith("0.997 ± 0.058")
    assert document(compared(), {})["results"][0]["round_by_round"]["ratio"] == pytest.approx(0.9967, abs=1e-3)


@pytest.mark.parametrize("other", [[100.0, 200.0], [0.0, 0.0, 0.0], []])
def test_too_few_rounds_say_nothing_about_how_certain_a_ratio_is(other: list[float]) -> None:
    assert ratio_of_rounds({"ours": [100.0, 200.0, 300.0], "compared": other}, "compared") is None


def test_512_clients_are_compared_with_32_round_by_round() -> None:
    rows = results().rows()
    assert rows["create-512", "rate against create-32"] == {"ours": [0.5, 0.8, 1.0]}
    assert rows["create-512", "p99 / p50"] == {"ours": [2.5, 2.5, 2.5]}


def test_a_cell_has_the_median_and_the_spread() -> None:
    assert cell([1100.4, 900, 1000]) == "1,000 (900-1,100)"
    assert cell([12.34]) == "12.3"
    assert cell([0.5, 0.25]) == "0.38 (0.25-0.50)"
    assert cell([]) == ""


def test_the_table_names_a_workload_once_and_shows_errors_where_there_are_any() -> None:
    head, rule, *lines = table(results()).splitlines()
    assert head.split() == ["workload", "measure", "pgbench", "naive", "ours", "ours/pgbench", "ours/naive"]
    assert set(rule) == {"-"}
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == ["create-32", "create-512", "memory"]
    assert [line.split() for line in lines if "errors" in line] == [["errors", "4", "(4-4)"]]
    assert lines[0].split()[-2:] == ["0.50", "9.09"]


def test_the_document_keeps_every_round() -> None:
    written = document(results(), {"python": "3.11"})
    first = written["results"][0]
    assert written["about"] == {"python": "3.11"}
    assert (first["workload"], first["measure"]) == ("create-32", "requests/s")
    assert first["contenders"]["naive"] == {"median": 110, "min": 100, "max": 400, "rounds": [100, 110, 400]}
    assert first["ratios"] == {"ours/pgbench": 0.5, "ours/naive": 1000 / 110}
