"""Every metric of the service. What each means, and what to do about it at night, is in docs/metrics.md.

Base units (seconds, bytes), `_total` for what only rises, labels from closed sets. The sets that are not known here
are declared by whoever knows them: `declare` for channels and sources, `app.api.http_metrics` for routes.
"""

from collections.abc import Mapping, Sequence

import structlog

from app import __version__
from app.core.clock import utcnow, zone_data_version
from app.core.exposition import STARTS
from app.core.instruments import OTHER, Counter, CountReading, Gauge, Histogram, Labels, Reading, Registry
from app.core.vocabulary import UNDER_WAY, AlertStatus, AttemptOutcome, IncidentStatus, Severity

log = structlog.get_logger()

QUERY_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
REQUEST_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CALL_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 50.0)
LATENESS_BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
HUMAN_BOUNDS = (30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0)

# What became of an alert that somebody sent, beside what it did.
UNREADABLE, REFUSED, ERROR = "unreadable", "refused", "error"
LEASE_LOST = "lease_lost"
AUTH_KINDS = (
    "access_token", "api_key", "password", "refresh_token", "reset_token", "webhook_token", "metrics_token", "callback",
    "page_link",
)  # fmt: skip
UNRESOLVED = (IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED, IncidentStatus.SNOOZED)
ALIVE, LOST = "alive", "lost"
ANSWERED, FAILED = "answered", "failed"

registry = Registry()


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(registry, name, meaning, labels)


def _histogram(name: str, meaning: str, bounds: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(registry, name, meaning, labels, bounds)


def _reading(name: str, meaning: str, *labels: str) -> Reading:
    return Reading(registry, name, meaning, labels)


PROCESS_STARTS = _counter(STARTS, "Processes of this service that started")
START_TIME = _reading("process_start_time_seconds", "When this service started")
BUILD = _reading("ims_build_info", "The version that runs; always 1", "version")
TZDATA = _reading("ims_tzdata_info", "The release of the time zone database in use; always 1", "version")

# ---- Alerts and incidents
ALERTS_RECEIVED = _counter("ims_alerts_received_total", "Alerts that were sent here", "source", "outcome")
INGEST_SECONDS = _histogram("ims_ingest_seconds", "Time to take an alert in: read, committed, answered", REQUEST_BOUNDS)
SENDERS_REFUSED = _counter("ims_senders_refused_total", "Webhook tokens refused that had worked before", "source")
INCIDENTS_OPENED = _counter("ims_incidents_opened_total", "Incidents that were opened", "source")
INCIDENTS_OPEN = _reading(
    "ims_incidents_open", "Incidents that are not resolved; each number counts up to 10000", "severity", "status"
)
UNMATCHED_INCIDENTS = _counter("ims_unmatched_incidents_total", "Incidents that no escalation policy matched")
ACKNOWLEDGE_SECONDS = _histogram(
    "ims_incident_acknowledge_seconds", "Time from opening to the first acknowledgement", HUMAN_BOUNDS
)
RESOLVE_SECONDS = _histogram("ims_incident_resolve_seconds", "Time from opening to a resolution", HUMAN_BOUNDS)

# ---- Escalation and delivery
STEP_LATENESS = _histogram("ims_step_lateness_seconds", "Time from when a step was due to its commit", LATENESS_BOUNDS)
OLDEST_DUE_STEP = _reading("ims_oldest_due_step_age_seconds", "How long the oldest due step has waited")
OUTBOX_DEPTH = _reading("ims_outbox_depth", "Messages that wait or are being sent, up to 10000 each", "status")
OUTBOX_OLDEST = _reading("ims_outbox_oldest_age_seconds", "How long the oldest due message has waited")
DELIVERIES = _counter("ims_deliveries_total", "Attempts to send a message", "channel", "outcome")
DELIVERY_SECONDS = _histogram("ims_delivery_seconds", "Time that a provider took", CALL_BOUNDS, "channel")
BREAKER_OPEN = _reading(
    "ims_circuit_breaker_open", "1 while a live worker does not call a provider of this channel", "channel"
)
LEASES_RECOVERED = _counter("ims_leases_recovered_total", "Messages taken back from workers that died or hung")

# ---- Workers
WORKER_TICKS = _counter("ims_worker_ticks_total", "Ticks that workers of this service completed")
LAST_TICK = _reading("ims_worker_last_tick_timestamp_seconds", "When any worker last completed a tick; 0: none known")
LAST_SEEN = _reading("ims_worker_last_seen_timestamp_seconds", "When any worker last beat; 0: none known")
WORKERS = _reading("ims_workers", "Workers that are alive, and workers of the last 15 minutes that died", "state")
DEAD_MAN_PINGS = _counter("ims_dead_man_pings_total", "Pings of the dead-man's URL by their outcome", "outcome")

# ---- HTTP
AUTH_FAILURES = _counter("ims_auth_failures_total", "Requests refused for a wrong or missing secret", "kind")
HTTP_REQUESTS = _counter("ims_http_requests_total", "Requests that were answered", "route", "method", "status")
OLDEST_WAITING = Gauge(
    registry, "ims_oldest_waiting_request_age_seconds", "How long the oldest request without a thread has waited", ()
)
HTTP_SECONDS = _histogram("ims_http_request_seconds", "Time to answer a request", REQUEST_BOUNDS, "route")

# ---- The database
DATABASE_UP = _reading("ims_database_up", "1 if the database answered this process in time")
POOL_IN_USE = Gauge(registry, "ims_db_pool_in_use", "Connections that this process uses", ())
POOL_LIMIT = Gauge(registry, "ims_db_pool_limit", "Connections that this process may use", ())
QUERY_SECONDS = _histogram("ims_db_query_seconds", "Time of a statement, as this service saw it", QUERY_BOUNDS)
CONNECTIONS_LEFT = _reading("ims_db_connections_left", "Connections that PostgreSQL can still give to anybody")
DATABASE_BYTES = _reading("ims_db_size_bytes", "Size of the database")
WAL_BYTES = CountReading(registry, "ims_db_wal_bytes_total", "Write-ahead log written since the server was made", ())
WAL_RETAINED = _reading("ims_db_wal_retained_bytes", "Write-ahead log kept on disk for the slowest replication slot")
REPLICAS = _reading("ims_db_replicas", "Replicas that are connected")
REPLICATION_LAG = _reading("ims_db_replication_lag_seconds", "Lag of the slowest replica; 0 without replicas")
LAST_BACKUP = _reading("ims_last_backup_timestamp_seconds", "When the last backup was recorded; 0: never")

# What a process knows without the database.
KNOWN: dict[str, Mapping[Labels, float]] = {
    START_TIME.name: {(): utcnow().timestamp()},  # copies of a process have its time: that of the service
    BUILD.name: {(__version__,): 1.0},
    TZDATA.name: {(zone_data_version(),): 1.0},
}

AUTH_FAILURES.declare(kind=AUTH_KINDS)
INCIDENTS_OPEN.declare(severity=Severity, status=UNRESOLVED)
OUTBOX_DEPTH.declare(status=UNDER_WAY)
WORKERS.declare(state=(ALIVE, LOST))
DEAD_MAN_PINGS.declare(outcome=(ANSWERED, FAILED))


def declare(*, channels: Sequence[str], senders: Sequence[str], others: Sequence[str]) -> None:
    """Declare the series of these channels, of senders of alerts, and of the `others` that open incidents."""
    outcomes = (*AlertStatus, UNREADABLE, REFUSED, ERROR)
    ALERTS_RECEIVED.declare(source=(*senders, OTHER), outcome=outcomes)
    SENDERS_REFUSED.declare(source=(*senders, OTHER))
    INCIDENTS_OPENED.declare(source=(*senders, *others, OTHER))
    DELIVERIES.declare(channel=(*channels, OTHER), outcome=(*AttemptOutcome, LEASE_LOST))
    DELIVERY_SECONDS.declare(channel=(*channels, OTHER))
    BREAKER_OPEN.declare(channel=channels)


def join() -> None:
    """This process begins to count: for itself, or together with the other processes of its service."""
    if not registry.tally.join():
        log.error("metrics_not_shared", cure="start fewer processes: /metrics of the others lacks what this one counts")
    for level in registry.levels():
        level.set(0.0)
    PROCESS_STARTS.add()
