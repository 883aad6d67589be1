"""How metrics are written: as Prometheus' own parsers read them."""

from collections.abc import Callable, Iterable

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from app.core.exposition import STARTS, render, wants_open_metrics
from app.core.instruments import Counter, CountReading, Gauge, Histogram, Reading, Registry

Parse = Callable[[str], Iterable[Metric]]
FORMATS: list[tuple[bool, Parse]] = [(False, parse_text), (True, parse_open_metrics)]
in_both_formats = pytest.mark.parametrize(("is_open_metrics", "parse"), FORMATS, ids=["text", "OpenMetrics"])


@pytest.fixture
def registry() -> Registry:
    made = Registry()
    Counter(made, STARTS, "Starts", ())
    return made


def shown(
    registry: Registry, is_open_metrics: bool, parse: Parse, **readings: dict[tuple[str, ...], float]
) -> dict[tuple[str, ...], float]:
    """The name and the labels of each sample, with its value."""
    text = render(registry, readings, is_open_metrics=is_open_metrics)
    families = list(parse(text))
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples if s.name != STARTS}


@in_both_formats
def test_a_series_is_there_before_it_counts(registry: Registry, is_open_metrics: bool, parse: Parse) -> None:
    sent = Counter(registry, "sent_total", "Sent", ("channel",))
    sent.declare(channel=("email", "sms"))
    sent.of("sms").add()
    expected = {("sent_total", "email"): 0, ("sent_total", "sms"): 1}
    assert shown(registry, is_open_metrics, parse) == expected


@in_both_formats
def test_a_shy_series_is_shown_once_it_has_counted(registry: Registry, is_open_metrics: bool, parse: Parse) -> None:
    requests = Counter(registry, "requests_total", "Requests", ("status",))
    requests.one("200")
    shy = requests.shy("418")
    assert set(shown(registry, is_open_metrics, parse)) == {("requests_total", "200")}
    shy.add()
    assert shown(registry, is_open_metrics, parse)["requests_total", "418"] == 1


@in_both_formats
def test_a_bucket_holds_what_smaller_ones_hold(registry: Registry, is_open_metrics: bool, parse: Parse) -> None:
    seconds = Histogram(registry, "seconds", "Time", ("route",), (0.5, 2.0))
    for value in (0.1, 0.2, 1.0, 5.0):
        seconds.one("/").observe(value)
    assert shown(registry, is_open_metrics, parse) == {
        ("seconds_bucket", "/", "0.5"): 2,
        ("seconds_bucket", "/", "2.0"): 3,
        ("seconds_bucket", "/", "+Inf"): 4,
        ("seconds_sum", "/"): pytest.approx(6.3),
        ("seconds_count", "/"): 4,
    }


@in_both_formats
def test_a_gauge_names_the_process_that_set_it(registry: Registry, is_open_metrics: bool, parse: Parse) -> None:
    Gauge(registry, "in_use", "In use", ()).set(3)
    assert shown(registry, is_open_metrics, parse) == {("in_use", "0"): 3}


@in_both_formats
def test_what_was_not_read_is_left_out(registry: Registry, is_open_metrics: bool, parse: Parse) -> None:
    depth = Reading(registry, "depth", "Depth", ("status",))
    depth.declare(status=("pending", "retry"))
    CountReading(registry, "bytes_total", "Bytes", ())
    assert shown(registry, is_open_metrics, parse) == {}
    found = shown(registry, is_open_metrics, parse, depth={("retry",): 2.0}, bytes_total={(): 7.0})
    assert found == {("depth", "pending"): 0, ("depth", "retry"): 2, ("bytes_total",): 7}


@in_both_formats
def test_any_text_of_a_label_is_read_as_it_was(registry: Registry, is_open_metrics: bool, parse: Parse) -> None:
    wild = 'a "quoted" \\ line\nand another {x="y"} ü'
    Counter(registry, "wild_total", "Wild", ("text",)).one(wild)
    assert shown(registry, is_open_metrics, parse) == {("wild_total", wild): 0}


@in_both_formats
def test_the_type_of_a_metric_is_told(registry: Registry, is_open_metrics: bool, parse: Parse) -> None:
    Counter(registry, "a_total", "Meaning of a", ())
    Histogram(registry, "b_seconds", "Meaning of b", (), (1.0,))
    Gauge(registry, "c", "Meaning of c", ())
    families = {family.name: family for family in parse(render(registry, {}, is_open_metrics=is_open_metrics))}
    assert {name: families[name].type for name in ["a", "b_seconds", "c"]} == {
        "a": "counter", "b_seconds": "histogram", "c": "gauge",
    }  # fmt: skip
    assert families["c"].documentation == "Meaning of c"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", True),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", True),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text; q=0.0 ; version=1.0.0, text/plain", False),
        ("text/plain, Application/OpenMetrics-Text;Q=0.5", False),
        ("text/plain;note=application/openmetrics-text", False),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_open_metrics_is_for_those_who_name_it(accept: str, expected: bool) -> None:
    assert wants_open_metrics(accept) is expected
