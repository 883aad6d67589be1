"""A worker that has nothing to do asks one question a second for the plan, and one for each channel."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.crud import crud_work
from app.models import PasswordRecovery
from app.services.operations import work_service
from app.services.operations.health_service import Pulse
from app.utils.service_locator import Services
from app.worker import Jobs
from tests.support.inline import inline_lane
from tests.support.scenario import Opener, Tick, act
from tests.support.statements import statements
from tests.support.world import Clock, Person

DAY_MINUTES = 24 * 60
INCIDENT = "UPDATE incidents SET {}"
POLICY = "UPDATE escalation_policies SET spread_after = 0"
LEASED = "status = 'sending', lease_until = now() - interval '1 second', lease_token = gen_random_uuid()"
MESSAGE = "UPDATE notifications SET {}"
LATER = "now() + interval '1 day'"

# What makes a part of the plan due, when nothing else is but healing, which looks at open incidents.
CAUSES = {
    "snoozes_ended": INCIDENT.format("status = 'snoozed', snoozed_until = now() - interval '1 second'"),
    "steps_taken": "UPDATE escalations SET next_run_at = now()",
    "policy_rollout": POLICY,
    "unmatched_taken": INCIDENT.format("unmatched_due_at = now()"),
    "leases_released": MESSAGE.format(LEASED),
    "fell_back": MESSAGE.format("fallback_at = now()"),
}


@pytest.fixture
def incident(add_policy: Opener, open_incident: Opener, tick: Tick) -> dict[str, Any]:
    """One that was paged about, and whose next step is due in a day."""
    add_policy(steps=[_step(0), _step(DAY_MINUTES)])
    opened: dict[str, Any] = open_incident()
    tick()
    tick()
    return opened


@pytest.fixture
def quiet(session: Session, incident: dict[str, Any]) -> Session:
    """A database in which nothing is due but a look at the open incident."""
    session.execute(text(f"UPDATE notifications SET fallback_at = NULL, next_attempt_at = {LATER}"))
    session.commit()
    return session


def _step(delay_minutes: float) -> dict[str, Any]:
    return {"delay_minutes": delay_minutes, "actions": [{"type": "notify", "target": "admins"}]}


def asked(seen: list[str]) -> list[str]:
    """The statements, without the savepoint that stands for a transaction here."""
    return [statement for statement in seen if "SAVEPOINT" not in statement]


def test_without_incidents_the_plan_and_each_lane_ask_a_question_or_two(services: Services, jobs: Jobs) -> None:
    jobs.plan()
    with statements(services.database) as seen:
        jobs.plan()
    assert len(asked(seen)) == 1
    for channel, questions in (("email", 1), (None, 2)):
        lane = inline_lane(channel, services.delivery)
        with statements(services.database) as seen:
            assert lane.drain() == 0
        assert len(asked(seen)) == questions


def test_nothing_but_healing_is_due_while_an_incident_waits_for_its_next_step(quiet: Session) -> None:
    assert work_service.parts_due(quiet, Pulse()) == {"healed"}


@pytest.mark.parametrize("part", CAUSES)
def test_what_is_due_is_found(quiet: Session, part: str) -> None:
    quiet.execute(text(CAUSES[part]))
    assert part in work_service.parts_due(quiet, Pulse())


def test_a_forgotten_password_is_found(session: Session) -> None:
    session.add(PasswordRecovery(email="ada@example.com", token_minutes=30))
    session.flush()
    assert work_service.parts_due(session, Pulse()) == {"recoveries_answered"}


def test_the_all_clear_is_told_though_nothing_is_due(session: Session) -> None:
    pulse = Pulse()
    pulse.was_overdue = True
    assert work_service.parts_due(session, pulse) == {"overdue"}


def test_what_could_not_be_healed_is_tried_again(session: Session) -> None:
    pulse = Pulse()
    pulse.held = {7}
    assert work_service.parts_due(session, pulse) == {"healed"}


@pytest.mark.parametrize(
    ("change", "is_due"),
    [
        ("status = 'pending', next_attempt_at = now()", True),
        ("status = 'retry', next_attempt_at = now()", True),
        (f"status = 'retry', next_attempt_at = {LATER}", False),
        ("status = 'pending', is_held = true, next_attempt_at = now()", True),
        (f"status = 'pending', is_held = true, next_attempt_at = {LATER}", False),
        ("status = 'accepted', next_attempt_at = NULL", False),
        ("channel = 'sms', status = 'pending', next_attempt_at = now()", False),
    ],
)
def test_a_channel_has_work_when_a_message_is_due(quiet: Session, change: str, is_due: bool) -> None:
    quiet.execute(text(MESSAGE.format(change)))
    assert crud_work.is_due_on(quiet, "email") is is_due


def test_a_status_update_is_work_once_it_is_due(
    quiet: Session, client: TestClient, user: Person, clock: Clock, incident: dict[str, Any]
) -> None:
    act(client, incident, "acknowledge", user)
    assert not crud_work.is_due_on(quiet, "email")
    quiet.rollback()
    clock.advance(minutes=1)
    assert crud_work.is_due_on(quiet, "email")


@pytest.mark.parametrize(("channel", "is_waiting"), [("email", False), ("carrier-pigeon", True)])
def test_what_waits_on_a_channel_that_is_not_set_up_is_work_for_the_other_lane(
    quiet: Session, services: Services, channel: str, is_waiting: bool
) -> None:
    quiet.execute(text(MESSAGE.format(f"channel = '{channel}', status = 'pending', next_attempt_at = now()")))
    quiet.commit()
    assert work_service.is_due_on(services.delivery, None) is is_waiting
