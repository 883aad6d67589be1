"""When a part of the installation is degraded, and when a process should get no requests."""

from datetime import timedelta

import pytest

from app.core.vocabulary import HealthStatus, Phase
from app.services.operations import health_checks
from app.services.operations.health_checks import GIB, OK, Check

DEGRADED, FAILED = Check(HealthStatus.DEGRADED), Check(HealthStatus.FAILED)
OPEN = {"sms.example.com": {"state": "open", "failing_messages": 5, "last_error": "503"}}
CLOSED = {"sms.example.com": {"state": "closed", "failing_messages": 1, "last_error": "503"}}


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ({"process": OK, "database": OK}, HealthStatus.OK),
        ({"database": OK, "worker": DEGRADED}, HealthStatus.DEGRADED),
        ({"database": OK, "channel_sms": FAILED}, HealthStatus.DEGRADED),
        ({"database": FAILED, "worker": OK}, HealthStatus.FAILED),
        ({"schema": FAILED}, HealthStatus.FAILED),
        ({"process": FAILED}, HealthStatus.FAILED),
    ],
)
def test_only_database_schema_and_process_make_it_unready(checks: dict[str, Check], expected: HealthStatus) -> None:
    assert health_checks.overall(checks) is expected


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.DRAINING])
def test_a_process_that_starts_or_ends_fails_its_check_and_says_which(phase: Phase) -> None:
    check = health_checks.of_phase(phase)
    assert (check.status, phase in (check.detail or "")) == (HealthStatus.FAILED, True)


def test_a_process_that_serves_is_ok() -> None:
    assert health_checks.of_phase(Phase.SERVING) is OK


def test_a_schema_that_lacks_migrations_fails_and_names_them() -> None:
    assert health_checks.of_schema([]) is OK
    check = health_checks.of_schema(["20261129", "20261128_c1"])
    assert check.status is HealthStatus.FAILED
    assert "20261129, 20261128_c1. Run `alembic upgrade head`" in (check.detail or "")


def test_one_live_worker_anywhere_is_enough() -> None:
    assert [health_checks.of_workers(alive).status for alive in (0, 1, 7)] == [
        HealthStatus.DEGRADED,
        HealthStatus.OK,
        HealthStatus.OK,
    ]


@pytest.mark.parametrize(
    ("late", "status"),
    [
        (None, HealthStatus.OK),
        (timedelta(seconds=9.9), HealthStatus.OK),
        (timedelta(seconds=10), HealthStatus.DEGRADED),
    ],
)
def test_work_that_waits_for_ten_seconds_degrades(late: timedelta | None, status: HealthStatus) -> None:
    assert health_checks.of_lateness("step", late).status is status


def test_late_work_says_for_how_long_it_has_waited() -> None:
    said = health_checks.of_lateness("message", timedelta(seconds=61.4)).detail
    assert said == "The oldest message that is due has waited for 61 s."


def test_an_open_breaker_of_any_worker_degrades_its_channel() -> None:
    assert health_checks.of_channel([{}, CLOSED]) is OK
    check = health_checks.of_channel([{}, CLOSED, OPEN])
    assert check.status is HealthStatus.DEGRADED
    assert "1 provider fails" in (check.detail or "")


def test_a_channel_that_fails_shows_neither_hosts_nor_answers() -> None:
    other = {"chat.example.com": {"state": "open", "failing_messages": 5, "last_error": "no route to 10.0.0.7"}}
    said = health_checks.of_channel([OPEN | other, OPEN]).detail or ""
    assert said == "2 providers fail, so messages wait. Administrators see which in GET /v1/channels."


@pytest.mark.parametrize(
    ("free", "total", "status"),
    [
        (GIB, 500 * GIB, HealthStatus.OK),
        (GIB - 1, 500 * GIB, HealthStatus.DEGRADED),
        (GIB // 2, 10 * GIB, HealthStatus.OK),  # a small disk: a twentieth is enough
        (GIB // 2 - 1, 10 * GIB, HealthStatus.DEGRADED),
    ],
)
def test_a_disk_that_is_nearly_full_degrades(free: int, total: int, status: HealthStatus) -> None:
    assert health_checks.of_disk(free, total).status is status
