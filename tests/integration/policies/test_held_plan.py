"""What others hold is passed over by the plan, is not forgotten, and is said when it lasts."""

import pytest
from sqlalchemy import select, text, update

from app.core.config import Settings
from app.core.source import AlertSignal
from app.core.vocabulary import EscalationState, IncidentStatus, Severity
from app.db.session import Database
from app.models import Escalation, EscalationPolicy, Incident, User
from app.schemas.escalation import PolicyCreate
from app.services.escalation import QUARANTINE_FIRST
from app.services.incidents import alert_service
from app.services.operations import dead_man_service
from app.services.policies import policy_service
from app.services.policies.rollout_service import ROLLOUT_BATCH
from app.utils.service_locator import Services, build_services
from app.worker import Jobs
from app.worker.batches import StillLocked
from app.worker.lane import LOCKED_FOR_LONG_SECONDS
from tests.support.inline import inline_jobs
from tests.support.scenario import steps
from tests.support.world import ADMIN, Outbox, add_admins

pytestmark = pytest.mark.slow

RUNNING, STOPPED = EscalationState.RUNNING, EscalationState.STOPPED


@pytest.fixture
def services(own_database: Database, settings: Settings, outbox: Outbox) -> Services:
    """With two administrators, on a database where others can hold something."""
    services = build_services(settings, own_database, channels={"email": outbox})
    add_admins(own_database, ADMIN, "second@example.com")
    return services


@pytest.fixture
def jobs(services: Services) -> Jobs:
    return inline_jobs(services)


def open_incidents(services: Services, number: int) -> list[int]:
    with services.database.transaction() as session:
        keys = [f"key-{n}" for n in range(number)]
        signals = [AlertSignal("elastic", key, True, key, None, None, "api", {}) for key in keys]
        alert_service.ingest(session, signals, default_severity=Severity.HIGH)
    with services.database.transaction() as session:
        return list(session.scalars(select(Incident.id).order_by(Incident.id)))


def add_policy(services: Services, delay: float = 60, *, name: str = "all", target: str | int = "admins") -> int:
    with services.database.transaction() as session:
        new = PolicyCreate(name=name, steps=steps(delay, target=target))
        return policy_service.create(session, new, services.paging).id


def running(services: Services, policy: int) -> set[int]:
    with services.database.transaction() as session:
        found = select(Escalation.incident_id).filter_by(policy_id=policy, state=RUNNING)
        return set(session.scalars(found))


def is_spreading(services: Services) -> bool:
    with services.database.transaction() as session:
        return any(after is not None for after in session.scalars(select(EscalationPolicy.rollout_after)))


def plan(jobs: Jobs) -> None:
    """Plan until no rollout has to go on at once."""
    while jobs.plan():
        pass


def test_a_policy_comes_to_all_incidents_but_those_that_somebody_holds(services: Services, jobs: Jobs) -> None:
    ids = open_incidents(services, 2 * ROLLOUT_BATCH + 1)
    held = {ids[1], ids[ROLLOUT_BATCH + 1]}
    with services.database.transaction() as holding:
        holding.execute(select(Incident.id).where(Incident.id.in_(held)).with_for_update())
        policies = [add_policy(services, name="first"), add_policy(services, name="second")]
        for _ in range(2):
            plan(jobs)
        assert [running(services, policy) for policy in policies] == [set(ids) - held] * 2
        assert is_spreading(services)
    plan(jobs)
    assert [running(services, policy) for policy in policies] == [set(ids)] * 2
    assert not is_spreading(services)


def test_a_policy_that_is_switched_off_meanwhile_begins_on_nothing_more(services: Services, jobs: Jobs) -> None:
    ids = open_incidents(services, 3)
    with services.database.transaction() as holding:
        holding.execute(select(Incident.id).where(Incident.id == ids[1]).with_for_update())
        policy = add_policy(services)
        jobs.plan()
        with services.database.transaction() as session:
            policy_service.delete(session, policy)
        jobs.plan()
        assert running(services, policy) == set()
    jobs.plan()
    assert running(services, policy) == set()
    assert not is_spreading(services)


def test_what_was_begun_ends_when_it_is_no_longer_held(services: Services, jobs: Jobs) -> None:
    ids = open_incidents(services, 3)
    policy = add_policy(services)
    jobs.plan()
    with services.database.transaction() as holding:
        holding.execute(select(Incident.id).where(Incident.id == ids[1]).with_for_update())
        with services.database.transaction() as session:
            policy_service.delete(session, policy)
        jobs.plan()
        assert running(services, policy) == {ids[1]}
    jobs.plan()
    assert running(services, policy) == set()


def test_who_holds_something_for_long_is_an_error(services: Services, jobs: Jobs) -> None:
    [incident] = open_incidents(services, 1)
    with services.database.transaction() as holding:
        holding.execute(select(Incident.id).where(Incident.id == incident).with_for_update())
        policy = add_policy(services)
        jobs.plan()
        jobs._batches.locked_since["policy_rollout"] -= LOCKED_FOR_LONG_SECONDS
        with pytest.raises(StillLocked, match=str(policy)):
            jobs.plan()
    jobs.plan()
    assert jobs._batches.locked_since == {}


def test_a_person_who_is_held_keeps_nobody_else_from_being_paged(
    services: Services, jobs: Jobs, outbox: Outbox
) -> None:
    open_incidents(services, 2)
    with services.database.transaction() as session:
        [first, second] = session.scalars(select(User.id).order_by(User.id))
    add_policy(services, 0, name="first", target=first)
    add_policy(services, 0, name="second", target=second)
    with services.database.transaction() as holding:
        holding.execute(select(User.id).where(User.id == first).with_for_update())
        jobs.plan()
        jobs.send()
        assert {envelope.address for envelope in outbox.sent} == {"second@example.com"}
    with services.database.transaction() as session:
        put_aside = session.scalars(select(Escalation).where(Escalation.quarantined_at.is_not(None))).all()
        assert [row.attempts for row in put_aside] == [0, 0]
        assert not dead_man_service.is_well(session)
        for row in put_aside:
            assert row.next_run_at is not None
            assert row.quarantined_at is not None
            assert row.next_run_at - row.quarantined_at <= QUARANTINE_FIRST
        session.execute(
            update(Escalation).where(Escalation.quarantined_at.is_not(None)).values(next_run_at=text("now()"))
        )
    jobs.plan()
    jobs.send()
    assert {envelope.address for envelope in outbox.sent} == {ADMIN, "second@example.com"}


def test_what_is_forgotten_is_healed_beside_what_somebody_holds(services: Services, jobs: Jobs) -> None:
    ids = open_incidents(services, 3)
    policy = add_policy(services)
    jobs.plan()
    with services.database.transaction() as session:
        session.execute(update(Escalation).values(state=STOPPED, next_run_at=None))
    with services.database.transaction() as holding:
        holding.execute(select(Incident.id).where(Incident.id == ids[1]).with_for_update())
        jobs.plan()
        assert running(services, policy) == {ids[0], ids[2]}
        jobs._batches.locked_since["healed"] -= LOCKED_FOR_LONG_SECONDS
        with pytest.raises(StillLocked, match=str(ids[1])):
            jobs.plan()
    jobs.plan()
    assert running(services, policy) == set(ids)


def test_a_snooze_of_a_locked_incident_holds_up_no_other(services: Services, jobs: Jobs) -> None:
    ids = open_incidents(services, 2)
    snoozed = {"status": "snoozed", "snoozed_until": text("now() - interval '1 second'")}
    with services.database.transaction() as session:
        session.execute(update(Incident).values(snoozed))
    with services.database.transaction() as other:
        other.scalars(select(Incident).where(Incident.id == ids[0]).with_for_update()).one()
        jobs.plan()
        with services.database.transaction() as session:
            ended = session.scalars(select(Incident.id).where(Incident.status == IncidentStatus.OPEN)).all()
    assert ended == ids[1:]
