"""When nobody is reached: the administrators by every channel they have, and again until somebody is."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.channel import Outcome
from app.core.vocabulary import AttemptOutcome
from app.utils.service_locator import Services
from app.worker import Jobs
from tests.support.preferences import put
from tests.support.scenario import Opener, Tick, events, notify, steps, timeline
from tests.support.world import LATER, NUMBER, Clock, Outbox, Person

DEAD = Outcome(AttemptOutcome.DEAD, error="no such address")
ADMINS_NUMBER = "+15550777"
MANY = 1000


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


@pytest.fixture
def quiet_admin(client: TestClient, admin: Person) -> Person:
    """An administrator who does not want an SMS about an ordinary page like this."""
    put(client, admin, "sms", address=ADMINS_NUMBER, quiet_severities=["high"])
    return admin


def addresses(channel: Outbox) -> list[str]:
    return [envelope.address for envelope in channel.sent]


def test_an_admin_has_no_quiet_channel_when_nobody_else_was_reached(
    quiet_admin: Person, on_call: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    outbox: Outbox, sms: Outbox, client: TestClient,
) -> None:  # fmt: skip
    add_policy(steps=steps(0, target=on_call.id, channels=["email"]))
    incident = open_incident()
    outbox.answers, sms.answers = [DEAD] * MANY, [DEAD]  # the last is that of the person on call
    for _ in range(4):
        tick()
    assert addresses(sms) == [NUMBER, ADMINS_NUMBER]
    assert "nobody_reachable" not in timeline(client, incident, quiet_admin)


def test_an_admin_on_call_has_no_quiet_channel_when_nobody_else_is_left(
    quiet_admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, sms: Outbox,
    client: TestClient,
) -> None:  # fmt: skip
    add_policy()
    incident = open_incident()
    outbox.answers = [DEAD] * MANY
    for _ in range(3):
        tick()
    assert addresses(sms) == [ADMINS_NUMBER]
    assert "nobody_reachable" not in timeline(client, incident, quiet_admin)


def test_nor_when_the_page_of_last_resort_is_not_accepted_in_time(
    quiet_admin: Person, on_call: Person, add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock,
    outbox: Outbox, sms: Outbox, client: TestClient,
) -> None:  # fmt: skip
    for channel in ("email", "sms"):
        put(client, on_call, channel, enabled=False)
    add_policy(steps=steps(0, target=on_call.id))
    open_incident()
    outbox.answers = [LATER] * MANY
    tick()
    clock.advance(seconds=60)
    tick()
    assert addresses(sms) == [ADMINS_NUMBER]


def test_each_step_falls_back_for_itself_while_a_provider_is_left_alone(
    on_call: Person, add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock, jobs: Jobs,
    outbox: Outbox, sms: Outbox, services: Services,
) -> None:  # fmt: skip
    add_policy(steps=steps(0, 2, 4, target=on_call.id, channels=["email"]))
    open_incident()
    outbox.answers = [LATER] * MANY
    for _ in range(14):
        leave_alone(jobs)
        tick()
        tick()
        clock.advance(seconds=30)
    assert addresses(sms) == [NUMBER] * 3


def leave_alone(jobs: Jobs) -> None:
    """Keep the mail provider's circuit breaker open: the machine's clock does not move with the database's."""
    for message_id in range(5):
        jobs._breakers.record("email", "outbox", -1 - message_id, error="busy", at=time.monotonic() + 60)


def test_while_nobody_is_reachable_steps_wait_five_minutes_at_most(
    on_call: Person, sign_up: Callable[..., Person], add_policy: Opener, open_incident: Opener, tick: Tick,
    clock: Clock, outbox: Outbox, sms: Outbox, client: TestClient, admin: Person,
) -> None:  # fmt: skip
    second = sign_up("second@example.com")
    two = [{"delay_minutes": 0, "actions": [notify(target=on_call.id)]}]
    add_policy(steps=[*two, {"delay_minutes": 60, "actions": [notify(target=second.id)]}])
    incident = open_incident()
    outbox.answers, sms.answers = [DEAD] * MANY, [DEAD] * MANY
    for _ in range(4):
        tick()
    assert "nobody_reachable" in timeline(client, incident, admin)
    outbox.answers, outbox.sent = [], []
    clock.advance(minutes=5)
    tick()
    assert addresses(outbox) == [second.email]


@pytest.mark.parametrize("repeat", [0, 2])
def test_while_nobody_is_reachable_steps_retry_and_no_repeat_is_spent(
    on_call: Person, add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock, outbox: Outbox,
    client: TestClient, admin: Person, repeat: int,
) -> None:  # fmt: skip
    switch(client, on_call, admin, is_enabled=False)
    comment = {"type": "comment", "content": "Look at the dashboard."}
    last = {"delay_minutes": 1, "actions": [notify(target="admins"), comment]}
    add_policy(steps=[*steps(0, target=on_call.id), last], repeat=repeat)
    incident = open_incident()
    tick()
    tick()
    assert "nobody_reachable" in timeline(client, incident, admin)
    switch(client, on_call, is_enabled=True)
    clock.advance(minutes=5)
    tick()
    assert addresses(outbox) == [on_call.email]
    for _ in range(repeat + 2):
        clock.advance(minutes=3)
        tick()
        tick()
    fired = [event["loop"] for event in events(client, incident, admin) if event["step"] == 0]
    assert fired == list(range(2 + repeat))


def switch(client: TestClient, *people: Person, is_enabled: bool) -> None:
    for person in people:
        for channel in ("email", "sms"):
            put(client, person, channel, enabled=is_enabled)


def test_an_alarm_of_nobody_reachable_is_raised_again_while_it_lasts(
    on_call: Person, add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock, client: TestClient,
    admin: Person,
) -> None:  # fmt: skip
    switch(client, on_call, admin, is_enabled=False)
    add_policy(steps=steps(0, 30, target=on_call.id))
    incident: dict[str, Any] = open_incident()
    for _ in range(3):
        tick()
        tick()
        clock.advance(minutes=5)
    assert timeline(client, incident, admin).count("nobody_reachable") == 3
