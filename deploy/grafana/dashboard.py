"""Writes the dashboard for Grafana: `python deploy/grafana/dashboard.py` makes incidents.json beside it anew.

A panel is one line here. Import incidents.json in Grafana (Dashboards, New, Import), and choose your Prometheus.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("incidents.json")
SOURCE = {"type": "prometheus", "uid": "${source}"}
COLUMNS, WIDTH, HEIGHT = 24, 8, 7


@dataclass(frozen=True)
class Panel:
    """What one panel shows. `legend` names the label that tells its lines apart; `kind` is Grafana's."""

    title: str
    queries: tuple[str, ...]
    legend: str = ""
    unit: str = "short"
    kind: str = "timeseries"


def stat(title: str, query: str, unit: str = "short") -> Panel:
    """A panel with one number."""
    return Panel(title, (query,), unit=unit, kind="stat")


ROWS: dict[str, tuple[Panel, ...]] = {
    "Is anybody paged?": (
        stat("Since the last tick of a worker", "time() - (max(ims_worker_last_tick_timestamp_seconds) > 0)", "s"),
        stat("Oldest step that is due", "max(ims_oldest_due_step_age_seconds)", "s"),
        stat("Oldest message that is due", "max(ims_outbox_oldest_age_seconds)", "s"),
        Panel("Workers", ("max by (state) (ims_workers)",), "{{state}}"),
        Panel("Steps fire so late (slowest hundredth)", ("ims:step_lateness_seconds:p99_5m",), unit="s"),
        Panel("Ticks", ("sum by (instance) (rate(ims_worker_ticks_total[5m]))",), "{{instance}}", "ops"),
    ),
    "Incidents": (
        Panel("Not resolved", ("ims:incidents_open:max",), "{{severity}} {{status}}"),
        Panel("Opened", ("sum by (source) (rate(ims_incidents_opened_total[5m])) * 60",), "{{source}} a minute"),
        Panel("No policy matched", ("sum(increase(ims_unmatched_incidents_total[1h]))",)),
        stat("Time to acknowledge, mean of a day", "ims:acknowledge_seconds:mean1d", "s"),
        stat("Time to resolve, mean of a day", "ims:resolve_seconds:mean1d", "s"),
    ),
    "Alerts": (
        Panel(
            "Received",
            ("sum by (source, outcome) (rate(ims_alerts_received_total[5m])) * 60",),
            "{{source}} {{outcome}} a minute",
        ),
        Panel("Time to take one in (slowest hundredth)", ("ims:ingest_seconds:p99_5m",), unit="s"),
        Panel(
            "Senders that were refused", ("sum by (source) (increase(ims_senders_refused_total[1h]))",), "{{source}}"
        ),
    ),
    "Delivery": (
        Panel("Outbox", ("max by (status) (ims_outbox_depth)",), "{{status}}"),
        Panel(
            "Attempts",
            ("sum by (channel, outcome) (rate(ims_deliveries_total[5m])) * 60",),
            "{{channel}} {{outcome}} a minute",
        ),
        Panel(
            "Failed of all attempts",
            ("ims:deliveries_failed:increase10m / ims:deliveries_attempted:increase10m",),
            "{{channel}}",
            "percentunit",
        ),
        Panel("Time that providers take (slowest hundredth)", ("ims:delivery_seconds:p99_5m",), "{{channel}}", "s"),
        Panel("Circuit breakers that are open", ("max by (channel) (ims_circuit_breaker_open)",), "{{channel}}"),
        Panel("Messages taken back from dead workers", ("sum(increase(ims_leases_recovered_total[1h]))",)),
        Panel("Dead-man's pings", ("sum by (outcome) (increase(ims_dead_man_pings_total[1h]))",), "{{outcome}}"),
    ),
    "Requests": (
        Panel("Requests", ("sum by (status) (ims:http_requests:rate5m)",), "{{status}}", "reqps"),
        Panel("Errors of all requests", ("ims:http_errors:ratio5m",), unit="percentunit"),
        Panel("Time to answer (slowest hundredth)", ("ims:http_request_seconds:p99_5m",), unit="s"),
        Panel(
            "Oldest request that waits for a thread",
            ("max by (instance, process) (ims_oldest_waiting_request_age_seconds)",),
            "{{instance}} {{process}}",
            "s",
        ),
        Panel("The busiest routes", ("topk(10, sum by (route) (ims:http_requests:rate5m))",), "{{route}}", "reqps"),
        Panel("Refused secrets", ("sum by (kind) (rate(ims_auth_failures_total[5m])) * 60",), "{{kind}} a minute"),
    ),
    "Database": (
        Panel("It answers", ("ims_database_up",), "{{instance}}"),
        Panel("Connections in use", ("ims:db_pool:share",), "{{instance}} {{process}}", "percentunit"),
        Panel("Connections left", ("min(ims_db_connections_left)",)),
        Panel("Time of a statement (slowest hundredth)", ("ims:db_query_seconds:p99_5m",), unit="s"),
        Panel("Statements", ("sum(rate(ims_db_query_seconds_count[5m]))",), unit="ops"),
        Panel("Size", ("max(ims_db_size_bytes)",), unit="bytes"),
        Panel("Log written", ("max(rate(ims_db_wal_bytes_total[5m]))",), unit="Bps"),
        Panel("Log kept for replicas", ("max(ims_db_wal_retained_bytes)",), unit="bytes"),
        Panel("Replicas, and how far behind", ("max(ims_db_replicas)", "max(ims_db_replication_lag_seconds)")),
        stat("Age of the last backup", "time() - (max(ims_last_backup_timestamp_seconds) > 0)", "s"),
    ),
    "Installation": (
        Panel("Version", ("count by (version) (ims_build_info)",), "{{version}}"),
        Panel("Time zones", ("count by (version) (ims_tzdata_info)",), "{{version}}"),
        Panel("Last heartbeat of a worker", ("time() - (max(ims_worker_last_seen_timestamp_seconds) > 0)",), unit="s"),
        Panel("Processes that started", ("increase(ims_process_starts_total[1h])",), "{{instance}}"),
        Panel("Running for", ("time() - process_start_time_seconds{job='incidents'}",), "{{instance}}", "s"),
    ),
}


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for name, row in ROWS.items():
        panels.append(_row(name, len(panels) + 1, top))
        top += 1
        for position, panel in enumerate(row):
            left, line = position * WIDTH % COLUMNS, position * WIDTH // COLUMNS
            panels.append(_panel(panel, len(panels) + 1, left=left, top=top + line * HEIGHT))
        top += -(-len(row) * WIDTH // COLUMNS) * HEIGHT
    source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    return {
        "title": "Incident Management System",
        "uid": "incidents",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "tags": ["incidents"],
        "templating": {"list": [source]},
        "panels": panels,
    }


def _row(title: str, id_: int, top: int) -> dict[str, Any]:
    place = {"h": 1, "w": COLUMNS, "x": 0, "y": top}
    return {"id": id_, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}


def _panel(panel: Panel, id_: int, *, left: int, top: int) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + number), "expr": query, "legendFormat": panel.legend, "datasource": SOURCE}
        for number, query in enumerate(panel.queries)
    ]
    return {
        "id": id_,
        "type": panel.kind,
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": left, "y": top},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def written() -> str:
    """The content of the file."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(written())
