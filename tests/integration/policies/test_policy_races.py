"""A policy that appears while an incident opens: neither transaction sees the other, and nobody may be forgotten."""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.core.source import AlertSignal
from app.core.vocabulary import EscalationState, Severity
from app.db.session import Database
from app.models import Escalation
from app.schemas.escalation import PolicyCreate, PolicyUpdate
from app.services.incidents import alert_service
from app.services.policies import policy_service, rollout_service
from app.services.ports import Paging
from app.utils.service_locator import Services
from tests.support.inline import inline_jobs
from tests.support.scenario import steps
from tests.support.waiting import wait_until
from tests.support.world import Outbox, add_admins


@pytest.fixture
def paging(services: Services) -> Paging:
    return services.paging


def open_one(session: Session) -> int:
    signal = AlertSignal("elastic", None, True, "Disk full", None, None, "api", {})
    [result] = alert_service.ingest(session, [signal], default_severity=Severity.HIGH)
    assert result.incident_id is not None
    return result.incident_id


def add_policy(database: Database, paging: Paging) -> int:
    new = PolicyCreate.model_validate({"name": "all", "steps": steps(5)})
    with database.transaction() as session:
        return policy_service.create(session, new, paging).id


def spread(database: Database) -> None:
    """What the worker does with every tick."""
    put_off: set[int] = set()
    while True:
        with database.transaction() as session:
            if not rollout_service.advance(session, put_off):
                return


def states(database: Database) -> list[EscalationState]:
    with database.transaction() as session:
        return sorted(session.scalars(select(Escalation.state)))


def is_somebody_waiting(database: Database) -> bool:
    waiting = text(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' "
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    with database.transaction() as session:
        return bool(session.execute(waiting).scalar_one())


@pytest.mark.parametrize("has_row_before", [False, True])
def test_an_incident_that_opens_while_a_policy_appears_is_escalated(
    own_database: Database, paging: Paging, has_row_before: bool
) -> None:
    if has_row_before:
        policy_id = add_policy(own_database, paging)
        spread(own_database)
        with own_database.transaction() as session:
            policy_service.update(session, policy_id, PolicyUpdate(is_active=False), paging)
        spread(own_database)
    with ThreadPoolExecutor(1) as worker, own_database.session() as opening:
        open_one(opening)
        if has_row_before:
            with own_database.transaction() as session:
                policy_service.update(session, policy_id, PolicyUpdate(is_active=True), paging)
        else:
            add_policy(own_database, paging)
        spreading: Future[None] = worker.submit(spread, own_database)
        wait_until(lambda: spreading.done() or is_somebody_waiting(own_database), seconds=10)
        opening.commit()
        spreading.result(30)
    spread(own_database)
    assert states(own_database) == [EscalationState.RUNNING]


def test_going_over_the_incidents_again_starts_nothing_twice(own_database: Database, paging: Paging) -> None:
    with own_database.transaction() as session:
        open_one(session)
    add_policy(own_database, paging)
    spread(own_database)
    with own_database.transaction() as session:
        [row] = session.scalars(select(Escalation)).all()
        assert (row.loop, row.state) == (0, EscalationState.RUNNING)


def test_an_incident_that_opens_while_its_policy_goes_is_not_escalated(own_database: Database, paging: Paging) -> None:
    policy_id = add_policy(own_database, paging)
    spread(own_database)
    with ThreadPoolExecutor(1) as worker, own_database.session() as opening:
        open_one(opening)
        with own_database.transaction() as session:
            policy_service.update(session, policy_id, PolicyUpdate(is_active=False), paging)
        spreading: Future[None] = worker.submit(spread, own_database)
        wait_until(lambda: spreading.done() or is_somebody_waiting(own_database), seconds=10)
        opening.commit()
        spreading.result(30)
    spread(own_database)
    assert states(own_database) == [EscalationState.ENDED]


def test_a_long_read_of_the_policies_delays_no_due_step(
    own_database: Database, services: Services, outbox: Outbox
) -> None:
    add_admins(own_database)
    jobs = inline_jobs(services, replace(services.delivery, database=own_database))
    with own_database.transaction() as session:
        policy_service.create(session, PolicyCreate(name="due", steps=steps(0)), services.paging)
        open_one(session)
    with own_database.session() as opening:
        open_one(opening)
        add_policy(own_database, services.paging)
        jobs.plan()
        jobs.send()
        assert len(outbox.pages) == 1
        with own_database.transaction() as another:
            open_one(another)
        opening.commit()
    jobs.plan()
    assert states(own_database) == [EscalationState.FINISHED] * 3 + [EscalationState.RUNNING] * 3
