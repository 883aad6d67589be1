"""A page that does not arrive: the next channel, the administrators, and the alarm when nobody is left."""

from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.core.channel import Outcome
from app.core.vocabulary import AttemptOutcome, DeliveryStatus, NotificationKind
from app.crud.clock import now
from app.models import Notification
from app.services.operations import dead_man_service, healing_service
from app.services.operations.health_service import Pulse
from app.utils.service_locator import Services
from app.worker import Jobs
from tests.support.preferences import put
from tests.support.scenario import Opener, Tick, act, deliveries, notify, timeline
from tests.support.world import LATER, NUMBER, Clock, Outbox, Person, add_admins

DEAD = Outcome(AttemptOutcome.DEAD, error="no such address")


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


@pytest.fixture
def incident(add_policy: Opener, open_incident: Opener, on_call: Person) -> dict[str, Any]:
    """One whose policy pages the person on call by mail."""
    action = notify(target=on_call.id, channels=["email"])
    add_policy(steps=[{"delay_minutes": 0, "actions": [action]}])
    return open_incident()


def test_a_dead_page_goes_by_the_next_channel_even_outside_the_action(
    incident: dict[str, Any], tick: Tick, outbox: Outbox, sms: Outbox, client: TestClient, admin: Person, clock: Clock
) -> None:
    outbox.answers = [DEAD]
    tick()
    tick()
    assert [envelope.address for envelope in sms.sent] == ["+15550100"]
    assert "notification_fell_back" in timeline(client, incident, admin)
    clock.advance(minutes=10)
    tick()
    assert (len(outbox.sent), len(sms.sent)) == (1, 1)


def test_a_minute_without_acceptance_brings_in_the_next_channel(
    incident: dict[str, Any], tick: Tick, outbox: Outbox, sms: Outbox, client: TestClient, admin: Person, clock: Clock
) -> None:
    outbox.answers = [LATER] * 5
    tick()
    clock.advance(seconds=59)
    tick()
    assert sms.sent == []
    clock.advance(seconds=1)
    tick()
    assert len(sms.sent) == 1
    clock.advance(seconds=120)
    tick()
    clock.advance(seconds=120)
    tick()
    assert ("email", "oncall@example.com", "retry") in deliveries(client, admin)  # a fallback cancels nothing


def test_nobody_is_tried_again_after_an_acknowledgement(
    incident: dict[str, Any], tick: Tick, outbox: Outbox, sms: Outbox, client: TestClient, user: Person, clock: Clock
) -> None:
    outbox.answers = [LATER]
    tick()
    act(client, incident, "acknowledge", user)
    clock.advance(seconds=60)
    tick()
    assert sms.sent == []
    assert "notification_fell_back" not in timeline(client, incident, user)


def test_when_all_channels_of_a_person_are_dead_the_admins_are_paged(
    incident: dict[str, Any], tick: Tick, outbox: Outbox, sms: Outbox, client: TestClient, admin: Person
) -> None:
    outbox.answers, sms.answers = [DEAD], [DEAD]
    for _ in range(4):
        tick()
    assert [envelope.address for envelope in outbox.sent] == ["oncall@example.com", admin.email]


def test_when_no_administrator_is_reached_it_says_so_and_tries_again(
    incident: dict[str, Any],
    tick: Tick,
    outbox: Outbox,
    sms: Outbox,
    client: TestClient,
    admin: Person,
    clock: Clock,
    services: Services,
) -> None:
    outbox.answers, sms.answers = [DEAD, DEAD], [DEAD]
    for _ in range(5):
        tick()
    assert "nobody_reachable" in timeline(client, incident, admin)
    with services.database.transaction() as session:
        assert not dead_man_service.is_well(session)
    clock.advance(minutes=5)
    tick()
    assert outbox.sent[-1].address == "oncall@example.com"
    with services.database.transaction() as session:
        assert dead_man_service.is_well(session)


def test_the_page_of_a_deactivated_person_goes_to_the_administrators(
    incident: dict[str, Any], tick: Tick, jobs: Any, outbox: Outbox, client: TestClient, admin: Person, on_call: Person
) -> None:
    jobs.plan()
    admin.on(client).call(f"PUT /users/{on_call.id}", {"is_active": False})
    tick()
    tick()
    assert [envelope.address for envelope in outbox.sent] == [admin.email]


def test_an_escalation_that_stands_still_on_an_open_incident_is_healed(
    incident: dict[str, Any], tick: Tick, session: Session, outbox: Outbox, client: TestClient, admin: Person
) -> None:
    session.execute(text("UPDATE escalations SET state = 'stopped', next_run_at = NULL"))
    session.commit()
    tick()
    tick()
    assert len(outbox.sent) == 1
    assert "escalation_healed" in timeline(client, incident, admin)


def test_what_is_as_it_should_be_is_not_healed(incident: dict[str, Any], session: Session) -> None:
    assert healing_service.heal(session, Pulse()) == 0


def test_all_is_well_unless_a_step_is_overdue(incident: dict[str, Any], session: Session, clock: Clock) -> None:
    assert dead_man_service.is_well(session)
    clock.advance(seconds=3)
    assert not dead_man_service.is_well(session)


def test_a_page_by_hand_falls_back_though_a_new_cycle_has_begun(
    incident: dict[str, Any], outbox: Outbox, sms: Outbox, client: TestClient, user: Person, tick: Tick, clock: Clock
) -> None:
    outbox.answers = [LATER] * 20
    act(client, incident, "escalate", user)
    tick()
    act(client, incident, "acknowledge", user)
    act(client, incident, "reopen", user)
    clock.advance(seconds=60)
    tick()
    assert [envelope.kind for envelope in sms.sent].count(NotificationKind.MANUAL_PAGE) == 1


def test_a_fallback_that_fails_holds_up_no_other_and_is_tried_again(
    add_policy: Opener, open_incident: Opener, outbox: Outbox, sms: Outbox, tick: Tick, clock: Clock, on_call: Person,
    session: Session,
) -> None:  # fmt: skip
    add_policy(steps=[{"delay_minutes": 0, "actions": [notify(target=on_call.id, channels=["email"])]}])
    outbox.answers = [LATER] * 20
    incidents = [open_incident() for _ in range(2)]
    tick()
    session.execute(text("UPDATE incidents SET metadata = '0' WHERE id = :id"), incidents[0])
    session.commit()
    clock.advance(seconds=60)
    tick()
    assert [envelope.incident_id for envelope in sms.sent] == [incidents[1]["id"]]
    assert not dead_man_service.is_well(session)
    session.execute(text("UPDATE incidents SET metadata = '{}'"))
    session.commit()
    clock.advance(seconds=60)
    tick()
    assert [envelope.incident_id for envelope in sms.sent][1:] == [incidents[0]["id"]]


def test_the_administrators_are_tried_again_with_every_step(
    incident: dict[str, Any], tick: Tick, outbox: Outbox, sms: Outbox, admin: Person, clock: Clock
) -> None:
    outbox.answers, sms.answers = [DEAD, DEAD, DEAD], [DEAD, DEAD]
    for _ in range(5):
        tick()
    clock.advance(minutes=5)
    for _ in range(5):
        tick()
    assert [envelope.address for envelope in outbox.sent].count(admin.email) == 2


def test_all_is_not_well_while_a_step_fails(incident: dict[str, Any], session: Session, tick: Tick) -> None:
    session.execute(text("UPDATE escalation_policy_versions SET steps = '[{\"delay_minutes\": 0}]'"))
    session.commit()
    tick()
    assert not dead_man_service.is_well(session)


def test_each_administrator_is_tried_once_for_what_was_escalated_by_hand(
    open_incident: Opener, client: TestClient, user: Person, admin: Person, services: Services, outbox: Outbox,
    sms: Outbox, tick: Tick,
) -> None:  # fmt: skip
    add_admins(services.database, "second@example.com")
    incident = open_incident()
    outbox.answers, sms.answers = [DEAD] * 20, [DEAD] * 20
    act(client, incident, "escalate", user)
    for _ in range(6):
        tick()
    assert sorted(envelope.address for envelope in outbox.sent) == sorted([admin.email, "second@example.com"])
    assert timeline(client, incident, user).count("nobody_reachable") == 1


def test_a_part_of_a_tick_that_fails_keeps_the_others_from_nothing(
    incident: dict[str, Any], jobs: Jobs, outbox: Outbox, session: Session
) -> None:
    session.execute(text("ALTER TABLE escalation_policies RENAME COLUMN spread_after TO lost"))
    session.execute(text("ALTER TABLE escalation_policies ADD spread_after text DEFAULT 'here'"))  # is no number
    session.commit()
    with pytest.raises(DBAPIError):
        jobs.plan()
    jobs.send()
    assert len(outbox.sent) == 1


def test_an_administrator_is_tried_once_on_each_dead_channel_then_alarmed(
    open_incident: Opener, client: TestClient, user: Person, admin: Person, outbox: Outbox, sms: Outbox, tick: Tick,
    clock: Clock,
) -> None:  # fmt: skip
    put(client, admin, "sms", address=NUMBER, enabled=True)
    incident = open_incident()
    outbox.answers, sms.answers = [DEAD] * 20, [DEAD] * 20
    act(client, incident, "escalate", user)
    for _ in range(8):
        tick()
        clock.advance(seconds=3)
    assert ([e.address for e in outbox.sent], [e.address for e in sms.sent]) == ([admin.email], [NUMBER])
    assert timeline(client, incident, user).count("nobody_reachable") == 1


def test_a_lost_page_that_nobody_needs_any_more_does_not_stand_for_another(
    open_incident: Opener, client: TestClient, user: Person, admin: Person, on_call: Person, session: Session,
    tick: Tick, outbox: Outbox,
) -> None:  # fmt: skip
    incident = open_incident()
    act(client, incident, "acknowledge", user)
    client.put(f"/v1/users/{on_call.id}", json={"is_active": False}, headers=admin.headers)
    at, recipient = now(session), {"user_id": on_call.id, "recipient": f"user:{on_call.id}"}
    about = {"incident_id": incident["id"], "cycle": 1, "channel": "email", "address": on_call.email, **recipient}
    lost = {"status": DeliveryStatus.DEAD, "subject": "", "body": "", "created_at": at, **about}
    by_hand = Notification(kind="manual_page", is_exempt=True, fallback_at=at - timedelta(seconds=2), **lost)
    ordinary = Notification(kind="page", fallback_at=at - timedelta(seconds=1), **lost)
    session.add_all([by_hand, ordinary])
    session.commit()
    tick()
    assert [envelope.address for envelope in outbox.sent] == [admin.email]
