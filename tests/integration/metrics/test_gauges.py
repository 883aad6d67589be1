"""What the metrics read from the database: one truth for all processes, bounded in time, left out if it is unknown."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from app.core import metrics
from app.core.instruments import Reading, Readings
from app.crud import crud_backup
from app.crud.clock import now
from app.db.session import Database, connect
from app.models import Backup
from app.services.operations import backup_service, health_service
from app.services.operations.gauges_service import PARTS_SECONDS, PATIENCE, Gauges
from app.services.operations.health_service import Pulse
from app.services.operations.newest import Newest, Patience
from app.worker import Jobs
from tests.support.scenario import Opener, act
from tests.support.waiting import wait_until
from tests.support.world import Clock, Person

OPEN = {"email": {"mail.example.com": {"state": "open", "failing_messages": 5, "last_error": "421"}}}
LOCK_BACKUPS = text("LOCK TABLE backups IN ACCESS EXCLUSIVE MODE")
LATE = {"ims_oldest_due_step_age_seconds", "ims_outbox_oldest_age_seconds"}


@pytest.fixture
def read(database: Database) -> Callable[[], Readings]:
    """Reads anew."""
    return lambda: Gauges(database, replace(PATIENCE, longest_seconds=60)).readings()


def one(readings: Readings, name: str, *labels: str) -> float:
    return readings[name][labels]


def beat(session: Session, pulse: Pulse, channels: dict[str, Any] | None = None) -> None:
    health_service.beat(session, pulse, channels or {}, ["email"])
    session.commit()


def test_open_incidents_count_by_severity_and_status(
    client: TestClient, user: Person, open_incident: Opener, read: Callable[[], Readings]
) -> None:
    open_incident(severity="critical")
    open_incident(severity="critical")
    act(client, open_incident(severity="low"), "acknowledge", user)
    act(client, open_incident(severity="low"), "resolve", user)
    found = {labels: number for labels, number in read()["ims_incidents_open"].items() if number}
    assert found == {("critical", "open"): 2, ("low", "acknowledged"): 1}


def test_the_oldest_step_that_is_due_has_an_age(
    add_policy: Opener, open_incident: Opener, clock: Clock, read: Callable[[], Readings]
) -> None:
    add_policy()
    open_incident()
    clock.advance(seconds=50)
    assert 50 <= one(read(), "ims_oldest_due_step_age_seconds") < 60


def test_messages_that_wait_count_by_their_status(
    add_policy: Opener, open_incident: Opener, jobs: Jobs, clock: Clock, read: Callable[[], Readings]
) -> None:
    add_policy()
    open_incident()
    jobs.plan()
    clock.advance(seconds=50)
    found = read()
    assert found["ims_outbox_depth"] == {("pending",): 1, ("retry",): 0, ("sending",): 0}
    assert 50 <= one(found, "ims_outbox_oldest_age_seconds") < 60


def test_what_is_due_later_is_not_old(add_policy: Opener, open_incident: Opener, read: Callable[[], Readings]) -> None:
    add_policy(steps=[{"delay_minutes": 5, "actions": [{"type": "notify", "target": "admins"}]}])
    open_incident()
    found = read()
    assert {name: one(found, name) for name in LATE} == dict.fromkeys(LATE, 0)


def test_workers_are_alive_or_lost(session: Session, clock: Clock, read: Callable[[], Readings]) -> None:
    beat(session, Pulse())
    clock.advance(seconds=31)
    beat(session, Pulse())
    assert read()["ims_workers"] == {("alive",): 1, ("lost",): 1}
    clock.advance(minutes=16)
    assert read()["ims_workers"] == {("alive",): 0, ("lost",): 0}


def test_a_worker_that_signs_off_is_not_lost(session: Session, clock: Clock, read: Callable[[], Readings]) -> None:
    pulse = Pulse()
    beat(session, pulse)
    clock.advance(seconds=31)
    health_service.leave(session, pulse)
    session.commit()
    assert read()["ims_workers"] == {("alive",): 0, ("lost",): 0}


def test_the_last_tick_is_that_of_any_worker(
    session: Session, jobs: Jobs, clock: Clock, read: Callable[[], Readings]
) -> None:
    jobs.beat()
    assert one(read(), "ims_worker_last_tick_timestamp_seconds") == 0  # it beats, and has not ticked
    jobs.plan()
    jobs.beat()
    at = now(session).timestamp()
    assert one(read(), "ims_worker_last_tick_timestamp_seconds") == pytest.approx(at, abs=5)
    clock.advance(seconds=20)
    beat(session, Pulse())  # another one, which hangs
    found = read()
    assert one(found, "ims_worker_last_tick_timestamp_seconds") == pytest.approx(at, abs=5)
    assert one(found, "ims_worker_last_seen_timestamp_seconds") == pytest.approx(at + 20, abs=5)


def test_a_breaker_is_open_while_a_live_worker_says_so(
    session: Session, clock: Clock, read: Callable[[], Readings]
) -> None:
    beat(session, Pulse(), OPEN)
    found = read()["ims_circuit_breaker_open"]
    assert {labels: value for labels, value in found.items() if value} == {("email",): 1}
    clock.advance(seconds=31)
    assert set(read()["ims_circuit_breaker_open"].values()) == {0}


def test_the_last_backup_is_the_newest_that_was_recorded(
    session: Session, clock: Clock, read: Callable[[], Readings]
) -> None:
    assert one(read(), "ims_last_backup_timestamp_seconds") == 0
    for _ in range(2):
        recorded = backup_service.record_backup(session)
        session.commit()
        assert one(read(), "ims_last_backup_timestamp_seconds") == pytest.approx(recorded.finished_at.timestamp())
        clock.advance(days=1)


def test_a_row_without_values_is_a_backup_of_now(session: Session, read: Callable[[], Readings]) -> None:
    session.execute(text("INSERT INTO backups DEFAULT VALUES"))  # as the documentation says
    session.commit()
    assert one(read(), "ims_last_backup_timestamp_seconds") == pytest.approx(now(session).timestamp(), abs=60)


def test_backups_of_long_ago_are_forgotten(session: Session, clock: Clock) -> None:
    backup_service.record_backup(session)
    clock.advance(days=401)
    newest = backup_service.record_backup(session)
    assert session.query(Backup).all() == [newest]
    assert crud_backup.last(session) == newest.finished_at


def test_postgresql_says_how_it_is(read: Callable[[], Readings]) -> None:
    found = read()
    assert 0 < one(found, "ims_db_connections_left") < 1000
    assert one(found, "ims_db_size_bytes") > 1_000_000
    assert one(found, "ims_db_wal_bytes_total") > 1_000_000
    nothing = ("ims_db_wal_retained_bytes", "ims_db_replicas", "ims_db_replication_lag_seconds")
    assert [one(found, name) for name in nothing] == [0, 0, 0]


def test_every_metric_that_is_read_is_found(read: Callable[[], Readings]) -> None:
    wanted = {metric.name for metric in metrics.registry.metrics.values() if isinstance(metric, Reading)}
    assert set(read()) == wanted


def test_without_a_database_only_that_is_known() -> None:
    began = monotonic()
    with capture_logs() as logs:
        found = Gauges(connect("postgresql://nobody@127.0.0.1:1/none", pool_size=1)).readings()
    assert monotonic() - began < 5
    assert [line["event"] for line in logs] == ["gauges_without_database"]
    assert set(found) == {*metrics.KNOWN, "ims_database_up"}
    assert one(found, "ims_database_up") == 0


def test_a_part_that_fails_hides_no_other_and_is_told_once(
    database: Database, session: Session, read: Callable[[], Readings]
) -> None:
    session.execute(text("ALTER TABLE backups RENAME TO lost"))
    session.commit()
    gauges = Gauges(database, Patience(fresh_seconds=-1, longest_seconds=60))
    with capture_logs() as logs:
        for _ in range(2):
            found = gauges.readings()
            assert "ims_last_backup_timestamp_seconds" not in found
            assert one(found, "ims_database_up") == 1
            assert "ims_workers" in found
    assert [(line["event"], line["part"]) for line in logs] == [("gauges_unread", "backups")]
    session.execute(text("ALTER TABLE lost RENAME TO backups"))
    session.commit()
    with capture_logs() as logs:
        assert "ims_last_backup_timestamp_seconds" in gauges.readings()
    assert [line["event"] for line in logs] == ["gauges_read_again"]


def test_a_part_that_is_slow_hides_no_other(own_database: Database) -> None:
    gauges = Gauges(own_database, replace(PATIENCE, longest_seconds=60), parts_seconds=0.7)
    with own_database.transaction() as session, capture_logs() as logs:
        session.execute(LOCK_BACKUPS)
        found = gauges.readings()
    assert "ims_last_backup_timestamp_seconds" not in found
    assert {"ims_workers", "ims_db_size_bytes"} <= set(found)  # before it and after it
    assert one(found, "ims_database_up") == 1
    assert ("gauges_unread", "backups") in [(line["event"], line["part"]) for line in logs]


def test_a_look_that_takes_long_says_what_it_has_found(own_database: Database) -> None:
    at = [100.0]
    patience = Patience(fresh_seconds=5.0, longest_seconds=0.0, clock=lambda: at[0])
    gauges = Gauges(own_database, patience, parts_seconds=60)
    with own_database.transaction() as session:
        session.execute(LOCK_BACKUPS)
        wait_until(lambda: "ims_workers" in gauges.readings(), seconds=30)
        found = gauges.readings()
        assert one(found, "ims_database_up") == 1
        assert "ims_last_backup_timestamp_seconds" not in found
        at[0] += 5.1  # and hangs: who knows whether the database still answers
        assert set(gauges.readings()) == {*metrics.KNOWN, "ims_database_up"}
        assert one(gauges.readings(), "ims_database_up") == 0
    wait_until(lambda: "ims_last_backup_timestamp_seconds" in gauges.readings(), seconds=30)


def test_nobody_waits_for_the_gauges_for_two_seconds() -> None:
    assert PARTS_SECONDS < PATIENCE.longest_seconds < 2


def test_what_hangs_is_waited_for_once() -> None:
    may_end = Event()
    began: list[int] = []

    def look() -> int:
        began.append(1)
        may_end.wait(30)
        return 1

    newest = Newest(look, "test", Patience(fresh_seconds=5, longest_seconds=0.05))
    for _ in range(3):
        with pytest.raises(TimeoutError):
            newest.get()
    may_end.set()
    assert len(began) == 1


def test_what_is_fresh_is_not_looked_at_again() -> None:
    at = [100.0]
    numbers = count(1)
    newest = Newest(lambda: next(numbers), "test", Patience(5, 60, clock=lambda: at[0]))
    assert [newest.get(), newest.get()] == [1, 1]
    at[0] += 5.1
    assert newest.get() == 2


def test_a_system_without_threads_makes_one_look_fail_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: Thread) -> None:
        raise RuntimeError("can't start new thread")

    at = [0.0]
    newest = Newest(lambda: "seen", "test", Patience(5, 60, clock=lambda: at[0]))
    with monkeypatch.context() as full:
        full.setattr(Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            newest.get()
    at[0] += 6
    assert newest.get() == "seen"
