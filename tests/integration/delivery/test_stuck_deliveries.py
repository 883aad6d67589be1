"""What would keep a message from ever coming to its end, and a row that somebody holds from holding up the rest."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from app.core.channel import Outcome
from app.core.config import Settings
from app.core.source import AlertSignal
from app.core.vocabulary import AttemptOutcome, DeliveryStatus, Severity
from app.crud.clock import now
from app.db.session import Database
from app.models import EscalationPolicy, Incident, Notification, NotificationAttempt, NotificationThrottle
from app.schemas.escalation import PolicyCreate
from app.services.delivery import lease_service
from app.services.delivery.breaker import OPENS_AFTER
from app.services.delivery.retry import GIVE_UP_AFTER
from app.services.incidents import alert_service
from app.services.operations import dead_man_service
from app.services.policies import policy_service
from app.utils.service_locator import Services, build_services
from app.worker import Jobs
from tests.support.inline import inline_jobs
from tests.support.scenario import Opener, Tick, notify, steps, timeline
from tests.support.world import ADMIN, Clock, Outbox, Person, add_admins

pytestmark = pytest.mark.slow


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


def statuses(session: Session) -> list[DeliveryStatus]:
    session.expire_all()
    return list(session.scalars(select(Notification.status).order_by(Notification.id)))


@pytest.mark.parametrize("said", ["SM\0 1", "\ud83d", "é" * 300])
def test_whatever_a_provider_says_is_recorded(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, session: Session, said: str
) -> None:
    outbox.answers = [Outcome(AttemptOutcome.RETRY, provider_id=said, error=said, answer=said)]
    add_policy()
    open_incident()
    tick()
    sent = session.scalars(select(Notification)).one()
    assert sent.status is DeliveryStatus.RETRY
    assert sent.last_error == said.replace("\0", "\ufffd").replace("\ud83d", "\ufffd")
    assert sent.provider_id == sent.last_error[:255]


def test_a_channel_that_fails_in_itself_is_tried_again_and_dead_in_the_end(
    add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock, outbox: Outbox, sms: Outbox, on_call: Person,
    session: Session,
) -> None:  # fmt: skip
    def fail() -> None:
        raise LookupError("a defect of the channel")

    outbox.on_send = fail
    add_policy(steps=[{"delay_minutes": 0, "actions": [notify(target=on_call.id, channels=["email"])]}])
    open_incident()
    tick()
    assert statuses(session) == [DeliveryStatus.RETRY]
    error = session.scalars(select(NotificationAttempt.error)).one()
    assert error == "The channel failed: LookupError."
    for _ in range(20):
        clock.advance(minutes=1)
        tick()
    assert statuses(session) == [DeliveryStatus.DEAD, DeliveryStatus.ACCEPTED]
    assert [envelope.address for envelope in sms.sent] == ["+15550100"]


def test_what_is_cut_off_again_and_again_is_dead_in_the_end(
    add_policy: Opener, open_incident: Opener, jobs: Jobs, services: Services, clock: Clock, session: Session,
    client: TestClient, admin: Person,
) -> None:  # fmt: skip
    add_policy()
    incident = open_incident()
    jobs.plan()
    jobs.lanes["email"]._release()
    taken = 0
    while statuses(session) != [DeliveryStatus.DEAD]:
        taken += len(lease_service.claim(services.delivery, "email", limit=10))
        clock.advance(seconds=61)
        jobs.plan()
        assert clock.offset[0] < 2 * GIVE_UP_AFTER
    assert taken > 10
    assert clock.offset[0] > GIVE_UP_AFTER
    assert len(session.scalars(select(NotificationAttempt)).all()) == taken
    assert "notification_failed" in timeline(client, incident, admin)


@pytest.mark.parametrize(("status", "is_alone"), [(450, False), (429, False), (421, True), (503, True), (None, True)])
def test_a_providers_answer_about_one_address_delays_nobody_else(
    jobs: Jobs, outbox: Outbox, open_incident: Opener, add_policy: Opener, tick: Tick,
    status: int | None, is_alone: bool,
) -> None:  # fmt: skip
    targets = [f"later{number}@example.com" for number in range(OPENS_AFTER)]
    outbox.answers = [Outcome(AttemptOutcome.RETRY, status_code=status, error="later") for _ in targets]
    add_policy(steps=steps(0, target=targets))
    open_incident()
    tick()
    assert len(outbox.sent) == OPENS_AFTER
    provider = jobs._breakers.report().get("email", {}).get("outbox", {})
    assert (provider.get("state") == "open") is is_alone, provider


def test_all_is_not_well_while_a_message_is_stuck(
    add_policy: Opener, open_incident: Opener, tick: Tick, jobs: Jobs, clock: Clock, session: Session
) -> None:
    add_policy()
    open_incident()
    jobs.plan()
    jobs.lanes["email"]._release()
    clock.advance(minutes=1)
    assert dead_man_service.is_well(session)
    clock.advance(minutes=2)
    assert not dead_man_service.is_well(session)
    tick()
    assert dead_man_service.is_well(session)


def test_all_is_not_well_while_a_page_that_could_go_is_held(
    add_policy: Opener, open_incident: Opener, tick: Tick, jobs: Jobs, clock: Clock, session: Session
) -> None:
    add_policy()
    open_incident()
    jobs.plan()
    clock.advance(minutes=1)
    assert dead_man_service.is_well(session)
    clock.advance(minutes=2)
    assert not dead_man_service.is_well(session)
    tick()
    assert dead_man_service.is_well(session)


def test_a_page_that_waits_for_its_pace_is_not_stuck(
    add_policy: Opener, open_incident: Opener, jobs: Jobs, clock: Clock, session: Session
) -> None:
    add_policy()
    open_incident()
    jobs.plan()
    clock.advance(minutes=3)
    later = update(Notification).values(next_attempt_at=now(session) + timedelta(seconds=1))
    session.execute(later)
    assert dead_man_service.is_well(session)


class TestWhatSomebodyHolds:
    """On a database of its own, so that others can hold something there."""

    @pytest.fixture
    def held(self, own_database: Database, settings: Settings, outbox: Outbox) -> Services:
        services = build_services(settings, own_database, channels={"email": outbox})
        add_admins(own_database, ADMIN, "second@example.com")
        return services

    def open(self, database: Database, key: str) -> None:
        with database.transaction() as session:
            signal = AlertSignal("elastic", key, True, key, None, None, "api", {})
            alert_service.ingest(session, [signal], default_severity=Severity.HIGH)

    def test_an_incident_delays_a_spreading_policy_but_no_step(self, held: Services, outbox: Outbox) -> None:
        self.open(held.database, "held")
        jobs = inline_jobs(held)
        with held.database.transaction() as session:
            policy_service.create(session, PolicyCreate(name="all", steps=steps(0)), held.paging)
        self.open(held.database, "free")
        with held.database.transaction() as holding:
            holding.execute(select(Incident.id).where(Incident.title == "held").with_for_update())
            jobs.plan()
            jobs.send()
            assert {envelope.pages[0].incident.title for envelope in outbox.sent} == {"free"}
        jobs.plan()
        with held.database.transaction() as session:
            assert session.scalars(select(EscalationPolicy.rollout_after)).one() is None

    def test_the_pace_of_some_keeps_nobody_else_from_being_paged(self, held: Services, outbox: Outbox) -> None:
        jobs = Jobs(held.delivery, held.paging, width=2)
        with held.database.transaction() as session:
            policy_service.create(session, PolicyCreate(name="all", steps=steps(0)), held.paging)
        self.open(held.database, "first")
        jobs.plan()
        jobs.send()
        with held.database.transaction() as session:
            session.execute(text("UPDATE notification_paces SET last_sent_at = NULL, tokens = 3"))
        self.open(held.database, "second")
        outbox.sent.clear()
        with held.database.transaction() as holding:
            one = holding.scalars(select(NotificationThrottle.recipient).limit(1).with_for_update()).one()
            jobs.plan()
            jobs.send()
            assert len(outbox.sent) == 1
            with held.database.transaction() as session:
                waiting = session.scalars(select(Notification.recipient).where(Notification.is_throttled)).all()
            assert waiting == [one]
        jobs.send()
        assert len(outbox.sent) == 2
        jobs.close()


LATER = Outcome(AttemptOutcome.RETRY, status_code=503, error="later")


@pytest.fixture
def retried(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, on_call: Person, clock: Clock
) -> dict[str, Any]:
    """An incident whose page to the person on call is retried by mail for over two minutes."""
    outbox.answers = [LATER] * 100
    add_policy(steps=[{"delay_minutes": 0, "actions": [notify(target=on_call.id, channels=["email"])]}])
    incident: dict[str, Any] = open_incident()
    tick()
    return incident


def _go_on(clock: Clock, tick: Tick) -> None:
    for _ in range(5):
        clock.advance(seconds=30)
        tick()


def test_all_is_not_well_while_a_page_is_retried_without_being_accepted(
    retried: dict[str, Any], sms: Outbox, outbox: Outbox, tick: Tick, clock: Clock, session: Session
) -> None:
    sms.answers = [LATER] * 100
    assert dead_man_service.is_well(session)
    _go_on(clock, tick)
    assert not dead_man_service.is_well(session)
    outbox.answers.clear()
    clock.advance(minutes=1)
    tick()
    assert dead_man_service.is_well(session)


def test_all_is_well_when_another_channel_took_the_page(
    retried: dict[str, Any], sms: Outbox, tick: Tick, clock: Clock, session: Session
) -> None:
    _go_on(clock, tick)
    assert len(sms.sent) == 1
    assert dead_man_service.is_well(session)


def test_all_is_well_when_the_incident_of_a_retried_page_is_over(
    retried: dict[str, Any], sms: Outbox, tick: Tick, clock: Clock, session: Session, client: TestClient, user: Person
) -> None:
    sms.answers = [LATER] * 100
    _go_on(clock, tick)
    client.post(f"/v1/incidents/{retried['id']}/acknowledge", headers=user.headers)
    assert dead_man_service.is_well(session)


def test_all_is_well_when_the_administrators_were_reached_instead(
    retried: dict[str, Any], sms: Outbox, outbox: Outbox, tick: Tick, clock: Clock, session: Session
) -> None:
    sms.answers = [Outcome(AttemptOutcome.DEAD, error="gone")]
    outbox.answers[:] = [LATER, LATER, LATER, Outcome(AttemptOutcome.DEAD, error="gone")]
    _go_on(clock, tick)
    assert outbox.sent[-1].address == ADMIN
    assert dead_man_service.is_well(session)
