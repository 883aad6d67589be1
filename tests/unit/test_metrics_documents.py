"""What is written about the metrics is true: the docs, the rules and their tests, the dashboard, the examples."""

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.core import metrics
from app.core.channel import CHANNELS
from app.core.instruments import Gauge
from app.main import app
from deploy.grafana import dashboard
from tests.support.prometheus import find, needs
from tests.unit.test_document_links import anchors

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text()
PROMETHEUS = ROOT / "deploy" / "prometheus"
METRIC = re.compile(r"\b(?:ims_\w+|process_start_time_seconds)\b")
RECORDED = re.compile(r"\bims:[\w:]+")
SUFFIX = re.compile(r"_(bucket|sum|count)$")
ALWAYS_FIRES = "ImsWatchdog"

assert app.routes  # whose series are declared with it


def names_in(text: str) -> set[str]:
    """The metrics that a text names; of a histogram's series, the histogram."""
    known = metrics.registry.metrics
    return {name if name in known else SUFFIX.sub("", name) for name in METRIC.findall(text)}


@cache
def groups(name: str) -> list[dict[str, Any]]:
    """The rules of a file."""
    loaded = yaml.safe_load((PROMETHEUS / name).read_text())
    return [rule for group in loaded["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in groups("alerts.yml")}
RECORDING = {rule["record"]: rule["expr"] for rule in groups("recording.yml")}
PANELS = [panel for panel in dashboard.dashboard()["panels"] if panel["type"] != "row"]
EXPRESSIONS = {
    **{name: rule["expr"] for name, rule in ALERTS.items()},
    **RECORDING,
    **{panel["title"]: " ".join(target["expr"] for target in panel["targets"]) for panel in PANELS},
}


def run(program: str, *arguments: str) -> None:
    done = subprocess.run([find(program) or "", *arguments], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", metrics.registry.metrics)
def test_a_metric_has_a_row_that_names_its_labels(name: str) -> None:
    labels = metrics.registry.metrics[name].labels
    if isinstance(metrics.registry.metrics[name], Gauge):
        labels = ("process",)
    written = f"{name}{{{','.join(labels)}}}" if labels else name
    [row] = [line for line in PAGE.splitlines() if line.startswith("| `") and f"`{written}`" in line.split(" | ")[0]]
    assert len(row.split(" | ")) == 3


def test_the_docs_name_no_metric_that_is_not_there() -> None:
    assert names_in(PAGE) <= set(metrics.registry.metrics)


@pytest.mark.parametrize("name", metrics.registry.metrics)
def test_a_metric_is_named_as_prometheus_wants_it(name: str) -> None:
    metric = metrics.registry.metrics[name]
    assert name.endswith("_total") == (metric.kind == "counter")
    assert re.search(r"_(milliseconds|minutes|ms|kb|mb)\b", name) is None
    assert "\n" not in metric.meaning
    assert not metric.meaning.endswith(".")


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_rule_or_panel_asks_only_for_what_exists(name: str) -> None:
    asked = EXPRESSIONS[name]
    assert names_in(asked) <= set(metrics.registry.metrics)
    assert set(RECORDED.findall(asked)) <= set(RECORDING)


def test_the_dashboard_and_the_rules_use_every_metric() -> None:
    unused = set(metrics.registry.metrics) - names_in(" ".join(EXPRESSIONS.values()))
    assert unused == set()


def test_the_dashboard_is_what_its_script_writes() -> None:
    assert dashboard.FILE.read_text() == dashboard.written()
    places = [tuple(panel["gridPos"].values()) for panel in dashboard.dashboard()["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_to_do(name: str) -> None:
    rule = ALERTS[name]
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"docs/metrics.md#{name.lower()}"
    section = PAGE.partition(f"### {name}\n\n")[2]
    assert name.lower() in anchors(PAGE)
    assert section.startswith(f"{rule['labels']['severity']}. ")


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_seen_firing_and_not_firing(name: str) -> None:
    files = [PROMETHEUS / "tests" / file for file in ("alerts_test.yml", "days_test.yml")]
    tests = [test for file in files for test in yaml.safe_load(file.read_text())["tests"]]
    seen = {
        bool(case["exp_alerts"])
        for test in tests
        for case in test.get("alert_rule_test", ())
        if case["alertname"] == name
    }
    assert seen == ({True} if name == ALWAYS_FIRES else {True, False})


def test_every_recording_rule_is_tested() -> None:
    tests = yaml.safe_load((PROMETHEUS / "tests" / "recording_test.yml").read_text())["tests"]
    asked = " ".join(case["expr"] for test in tests for case in test["promql_expr_test"])
    assert set(RECORDED.findall(asked)) == set(RECORDING)


@needs("promtool")
def test_promtool_accepts_the_configuration_and_the_rules(tmp_path: Path) -> None:
    for file in PROMETHEUS.glob("*.yml"):
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "metrics_token").write_text("token")
    run("promtool", "check", "config", "--lint=all", "--lint-fatal", str(tmp_path / "prometheus.yml"))


@pytest.mark.slow
@needs("promtool")
@pytest.mark.parametrize("file", ["alerts_test.yml", "days_test.yml", "recording_test.yml"])
def test_promtool_sees_the_rules_work(file: str) -> None:
    run("promtool", "test", "rules", str(PROMETHEUS / "tests" / file))


@needs("amtool")
def test_amtool_accepts_the_configuration_of_alertmanager() -> None:
    run("amtool", "check-config", str(ROOT / "deploy" / "alertmanager" / "alertmanager.yml"))


def test_only_channels_of_the_operators_wake_anybody() -> None:
    [pages, tickets] = [
        re.findall('"(.*)"', ALERTS[name]["expr"]) for name in ("ImsBreakerOpen", "ImsWebhookHostFails")
    ]
    assert pages == tickets == ["|".join(sorted(channel.name for channel in CHANNELS if not channel.needs_provider))]


def test_one_instance_mutes_no_other() -> None:
    loaded = yaml.safe_load((ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text())
    for rule in loaded["inhibit_rules"]:
        names = re.findall(r"Ims\w+", str(rule))
        assert set(names) <= set(ALERTS)
        assert ALERTS[names[0]]["expr"].startswith("max(")  # of all instances
        assert "equal" not in rule


def test_pages_about_the_pager_do_not_leave_through_the_pager() -> None:
    loaded = yaml.safe_load((ROOT / "deploy" / "alertmanager" / "alertmanager.yml").read_text())
    receivers = {receiver["name"]: receiver for receiver in loaded["receivers"]}
    used = {route["receiver"] for route in loaded["route"]["routes"]} | {loaded["route"]["receiver"]}
    assert used == set(receivers)
    [pages] = [route for route in loaded["route"]["routes"] if "page" in route["matchers"][0]]
    ways = receivers[pages["receiver"]]
    assert {"pushover_configs", "email_configs"} <= set(ways)
    assert "/v1/" not in str(loaded)
