"""What is older than RETENTION_DAYS is deleted, and nothing else."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.core.audit_actions import AuditAction
from app.core.config import Settings
from app.core.vocabulary import LogLevel
from app.db.session import Database
from app.models import AuditEntry, Incident, Notification
from app.services.operations.retention_service import BATCH
from app.utils.service_locator import Services, build_services
from app.worker import Jobs
from app.worker.batches import DEFAULT_LIMITS, PlanLimits
from app.worker.running import working
from tests.support.contention import waiting
from tests.support.inline import inline_jobs
from tests.support.logs import configured, events
from tests.support.scenario import Opener, Tick, act
from tests.support.waiting import wait_until
from tests.support.world import Clock, Outbox, Person

DAYS = 30
RECORD = ("timeline_events", "incident_comments", "incident_assignments", "escalations", "escalation_events")
MESSAGES = ("notifications", "notification_attempts", "status_updates")
BUNDLE = """
    INSERT INTO notifications (recipient, channel, address, kind, subject, body, status, ended_at, created_at)
    VALUES ('a@example.com', 'email', 'a@example.com', 'bundle', '2 incidents', 'text', 'accepted', now(), now())
    RETURNING id
"""
ENTRIES = "INSERT INTO timeline_events (incident_id, event_type, description) SELECT id, 'created', '' FROM incidents"
OLD = """
    INSERT INTO incidents (title, severity, service, status, created_at, resolved_at)
    SELECT 'Disk ' || number, 'high', 'database', 'resolved', now() - interval '40 days', now() - interval '31 days'
    FROM generate_series(1, :number) AS number
"""

Expire = Callable[[], None]


@pytest.fixture
def expire(services: Services) -> Expire:
    """The job of a worker that keeps incidents for so many days."""
    jobs = inline_jobs(services)
    jobs.retention_days = DAYS
    return jobs.delete_expired


@pytest.fixture
def paged(
    client: TestClient, user: Person, add_policy: Opener, open_incident: Opener, tick: Tick
) -> Callable[[], dict[str, Any]]:
    """Opens an incident with a whole record: somebody was paged, acknowledged it with a comment, and resolved it."""

    def run() -> dict[str, Any]:
        add_policy()
        incident = open_incident()
        tick()
        user.on(client).call(f"POST /incidents/{incident['id']}/acknowledge", {"comment": "On it."})
        act(client, incident, "resolve", user)
        tick()
        return incident

    return run


def kept(session: Session) -> list[int]:
    session.expire_all()
    return list(session.scalars(select(Incident.id).order_by(Incident.id)))


def rows(session: Session, *tables: str) -> dict[str, int]:
    return {table: session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() for table in tables}


def test_by_default_all_is_kept(
    paged: Callable[[], dict[str, Any]], services: Services, session: Session, clock: Clock
) -> None:
    incident = paged()
    clock.advance(days=4000)
    inline_jobs(services).delete_expired()
    assert kept(session) == [incident["id"]]


def test_an_incident_goes_with_its_record_so_many_days_after_its_resolution(
    paged: Callable[[], dict[str, Any]], session: Session, clock: Clock, expire: Expire
) -> None:
    incident = paged()
    before = rows(session, *RECORD, *MESSAGES)
    assert all(before[table] for table in (*RECORD, "notifications", "notification_attempts"))
    clock.advance(days=DAYS - 1)
    expire()
    assert (kept(session), rows(session, *RECORD, *MESSAGES)) == ([incident["id"]], before)
    clock.advance(days=1, seconds=1)
    expire()
    assert kept(session) == []
    assert not any(rows(session, *RECORD, *MESSAGES).values())


def test_the_audit_log_and_the_log_say_how_many_went(
    paged: Callable[[], dict[str, Any]], settings: Settings, session: Session, clock: Clock, expire: Expire
) -> None:
    paged()
    clock.advance(days=DAYS + 1)
    with configured(settings, LogLevel.INFO) as lines:
        expire()
        expire()
    [entry] = session.scalars(select(AuditEntry).where(AuditEntry.action == AuditAction.INCIDENT_EXPIRED)).all()
    assert (entry.object_type, entry.object_id, entry.actor_id) == ("incident", None, None)
    said = [line for line in events(lines) if line["event"] == "retention_applied"]
    assert [(line["incidents"], line["messages"]) for line in said] == [(1, 0)]


def test_what_is_not_over_is_never_deleted(
    client: TestClient, user: Person, open_incident: Opener, clock: Clock, session: Session, expire: Expire
) -> None:
    still_open, acknowledged, reopened = (open_incident() for _ in range(3))
    act(client, acknowledged, "acknowledge", user)
    act(client, reopened, "resolve", user)
    clock.advance(days=DAYS - 1)
    act(client, reopened, "reopen", user)
    act(client, reopened, "resolve", user)
    clock.advance(days=DAYS - 1)
    expire()
    assert kept(session) == [still_open["id"], acknowledged["id"], reopened["id"]]


def test_an_incident_whose_message_is_on_its_way_waits_for_it(
    paged: Callable[[], dict[str, Any]], session: Session, clock: Clock, expire: Expire
) -> None:
    incident = paged()
    session.execute(text("UPDATE notifications SET status = 'retry', next_attempt_at = now()"))
    session.commit()
    clock.advance(days=DAYS + 1)
    expire()
    assert kept(session) == [incident["id"]]


@pytest.mark.parametrize("page_is_kept", [True, False])
def test_a_message_about_no_incident_goes_once_no_page_needs_it(
    open_incident: Opener,
    add_policy: Opener,
    tick: Tick,
    session: Session,
    clock: Clock,
    expire: Expire,
    page_is_kept: bool,
) -> None:
    add_policy()
    open_incident()
    tick()
    bundle = session.execute(text(BUNDLE)).scalar_one()
    if page_is_kept:
        session.execute(text("UPDATE notifications SET bundle_id = :bundle WHERE id <> :bundle"), {"bundle": bundle})
    session.commit()
    clock.advance(days=DAYS - 1)
    expire()
    assert session.get(Notification, bundle) is not None
    session.rollback()
    clock.advance(days=2)
    expire()
    session.expire_all()
    assert (session.get(Notification, bundle) is not None) == page_is_kept


def test_more_than_a_batch_goes_in_one_run(session: Session, expire: Expire, clock: Clock) -> None:
    session.execute(text(OLD), {"number": 2 * BATCH + 1})
    session.commit()
    expire()
    assert kept(session) == []


def jobs_on(database: Database, settings: Settings, outbox: Outbox, limits: PlanLimits) -> Jobs:
    """The jobs of a worker that keeps incidents for so many days, on a database with three that are older."""
    jobs = inline_jobs(build_services(settings, database, channels={outbox.name: outbox}), limits=limits)
    jobs.retention_days = DAYS
    with database.transaction() as session:
        session.execute(text(OLD), {"number": 3})
        session.execute(text(ENTRIES))
    return jobs


def test_an_incident_that_somebody_has_locked_is_left_for_the_next_run(
    own_database: Database, settings: Settings, outbox: Outbox
) -> None:
    jobs = jobs_on(own_database, settings, outbox, DEFAULT_LIMITS)
    with own_database.transaction() as session:
        locked = session.execute(text("SELECT id FROM incidents ORDER BY id LIMIT 1 FOR UPDATE")).scalar_one()
        jobs.delete_expired()
    with own_database.transaction() as session:
        assert kept(session) == [locked]


def test_a_record_that_is_locked_for_a_moment_does_not_end_the_run(
    own_database: Database, settings: Settings, outbox: Outbox
) -> None:
    jobs = jobs_on(own_database, settings, outbox, PlanLimits(pause_seconds=0.05, most_tries=1000))
    with ThreadPoolExecutor(1) as threads:
        with own_database.transaction() as session:
            session.execute(text("SELECT id FROM timeline_events FOR UPDATE"))
            running = threads.submit(jobs.delete_expired)
            wait_until(lambda: waiting(own_database) > 0, seconds=30)
            wait_until(lambda: waiting(own_database) == 0, seconds=30)  # it gave up once
        running.result(30)
    with own_database.transaction() as session:
        assert kept(session) == []


def test_a_record_that_stays_locked_is_told(own_database: Database, settings: Settings, outbox: Outbox) -> None:
    jobs = jobs_on(own_database, settings, outbox, PlanLimits(pause_seconds=0.0, most_tries=2))
    with own_database.transaction() as session:
        session.execute(text("SELECT id FROM timeline_events FOR UPDATE"))
        with pytest.raises(OperationalError, match="lock timeout"):
            jobs.delete_expired()


def test_a_worker_does_it_when_it_starts(own_database: Database, settings: Settings, outbox: Outbox) -> None:
    keeps = settings.model_copy(update={"retention_days": DAYS})
    services = build_services(keeps, own_database, channels={outbox.name: outbox})
    with own_database.transaction() as session:
        session.execute(text(OLD), {"number": 3})

    def is_done() -> bool:
        with own_database.transaction() as session:
            return kept(session) == []

    async def work() -> None:
        async with working(services):
            await asyncio.to_thread(wait_until, is_done, seconds=30)

    asyncio.run(work())


@pytest.mark.parametrize("days", ["0", "-1", "36501", "a month"])
def test_days_that_make_no_sense_are_refused(monkeypatch: pytest.MonkeyPatch, days: str) -> None:
    monkeypatch.setenv("RETENTION_DAYS", days)
    with pytest.raises(ValueError, match="retention_days"):
        Settings(_env_file=None)


def test_no_days_keep_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_DAYS", "")
    assert Settings(_env_file=None).retention_days is None
