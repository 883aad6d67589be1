"""Decides how the parts of the installation are, and whether a process should get requests.

Only a database that is away, a schema that does not fit, a start and an end make it unready. A dead worker or a failing
provider must not: then nobody would take the alerts.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.core.vocabulary import HealthStatus, Phase

LATE_AFTER = timedelta(seconds=10)
LEAST_FREE_SHARE, LEAST_FREE_BYTES = 0.05, 1 << 30
ESSENTIAL = frozenset({"process", "database", "schema"})
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Check:
    """How one part is. `detail` says what is wrong and what to do."""

    status: HealthStatus
    detail: str | None = None


OK = Check(HealthStatus.OK)


def overall(checks: Mapping[str, Check]) -> HealthStatus:
    """`failed` if the process should get no requests, `degraded` if anything else is not ok."""
    if any(check.status is HealthStatus.FAILED for name, check in checks.items() if name in ESSENTIAL):
        return HealthStatus.FAILED
    is_ok = all(check.status is HealthStatus.OK for check in checks.values())
    return HealthStatus.OK if is_ok else HealthStatus.DEGRADED


def of_phase(phase: Phase) -> Check:
    """The process is ready between its start and its end."""
    if phase is Phase.SERVING:
        return OK
    return Check(HealthStatus.FAILED, f"This process is {phase}.")


def of_database(reason: str) -> Check:
    """The database is away, or answers too late."""
    return Check(HealthStatus.FAILED, f"The database does not answer ({reason}).")


def of_schema(missing: Collection[str]) -> Check:
    """The schema fits if no migration of this code is missing. A newer one fits."""
    if not missing:
        return OK
    return Check(
        HealthStatus.FAILED, f"The database lacks the migrations {', '.join(missing)}. Run `alembic upgrade head`."
    )


def of_slow_work(reason: str) -> Check:
    """The database answers, but looking at workers and due work takes too long."""
    return Check(HealthStatus.DEGRADED, f"The database answers too slowly to look at workers and due work ({reason}).")


def of_workers(alive: int) -> Check:
    """One live worker anywhere is enough."""
    if alive:
        return OK
    return Check(
        HealthStatus.DEGRADED,
        "No worker is alive, on this host or any other, so nobody is paged. Start one: `python -m app worker`.",
    )


def of_lateness(what: str, late: timedelta | None) -> Check:
    """How long the oldest due work has waited."""
    if late is None or late < LATE_AFTER:
        return OK
    seconds = round(late.total_seconds())
    return Check(HealthStatus.DEGRADED, f"The oldest {what} that is due has waited for {seconds} s.")


def of_channel(reports: Collection[Mapping[str, Any]]) -> Check:
    """A channel is degraded while a live worker's circuit breaker of one of its providers is open.

    Everybody may read this, so it names no provider: those of webhooks are hosts that only administrators may see.
    """
    failing = {name for report in reports for name, about in report.items() if about["state"] == "open"}
    if not failing:
        return OK
    what = "1 provider fails" if len(failing) == 1 else f"{len(failing)} providers fail"
    return Check(HealthStatus.DEGRADED, f"{what}, so messages wait. Administrators see which in GET /v1/channels.")


def of_disk(free: int, total: int) -> Check:
    """The disk of the embedded database needs room for more than the next alerts."""
    if free >= min(total * LEAST_FREE_SHARE, LEAST_FREE_BYTES):
        return OK
    return Check(
        HealthStatus.DEGRADED,
        f"The disk of the embedded database has {free / GIB:.1f} GiB free. When it is full, alerts are lost.",
    )
