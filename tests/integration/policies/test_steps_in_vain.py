"""A step that reaches nobody, and a policy that ends an incident about which nobody was paged."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.channel import Outcome
from app.core.vocabulary import AttemptOutcome
from app.utils.service_locator import Services
from tests.support.api import Api
from tests.support.preferences import put
from tests.support.scenario import Opener, Tick, act, events, notify, steps, timeline
from tests.support.world import ADMIN, Clock, Outbox, Person

ACKNOWLEDGE = {"type": "change_status", "status": "acknowledged"}
RESOLVE = {"type": "change_status", "status": "resolved"}
COMMENT = {"type": "comment", "content": "Look at the dashboard."}
BUSY = Outcome(AttemptOutcome.RETRY, error="busy")


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


@pytest.fixture
def api(client: TestClient, admin: Person) -> Api:
    return admin.on(client)


def step(delay: float, *actions: dict[str, Any]) -> dict[str, Any]:
    return {"delay_minutes": delay, "actions": list(actions)}


def paged(outbox: Outbox) -> list[str]:
    return [envelope.address for envelope in outbox.sent]


@pytest.mark.parametrize("change", [ACKNOWLEDGE, RESOLVE, COMMENT], ids=["acknowledge", "resolve", "comment"])
def test_a_step_in_vain_brings_forward_the_page_and_not_the_change(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    clock: Clock, outbox: Outbox, change: dict[str, Any],
) -> None:  # fmt: skip
    add_policy(steps=[*steps(0, target="assignees"), step(10, change), *steps(30, target=on_call.id)])
    incident = open_incident()
    tick()
    assert paged(outbox) == [on_call.email]
    assert [event["step"] for event in events(client, incident, admin)] == [0, 2]
    assert admin.on(client).incident(incident["id"])["status"] == "open"
    clock.advance(minutes=9)
    tick()
    assert len(events(client, incident, admin)) == 2
    clock.advance(minutes=1)
    tick()
    assert [event["step"] for event in events(client, incident, admin)] == [0, 2, 1]
    assert "ended_without_page" not in timeline(client, incident, admin)


def test_by_hand_too_a_step_in_vain_calls_the_next_page_only(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    outbox: Outbox,
) -> None:  # fmt: skip
    add_policy(steps=[*steps(5, target="assignees"), step(10, ACKNOWLEDGE), *steps(30, target=on_call.id)])
    incident = open_incident()
    assert act(client, incident, "escalate", admin)["status"] == "open"
    tick()
    assert paged(outbox) == [on_call.email]


def test_if_no_later_step_pages_the_administrators_are_paged_at_once(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock,
    outbox: Outbox,
) -> None:  # fmt: skip
    add_policy(steps=[*steps(0, 5, target="assignees"), step(60, COMMENT), step(120, ACKNOWLEDGE)])
    incident = open_incident()
    tick()
    assert paged(outbox) == [ADMIN]
    clock.advance(minutes=60)
    tick()
    assert paged(outbox) == [ADMIN]
    clock.advance(minutes=60)
    tick()
    assert (paged(outbox), admin.on(client).incident(incident["id"])["status"]) == ([ADMIN], "acknowledged")


@pytest.mark.parametrize(("change", "status"), [(ACKNOWLEDGE, "acknowledged"), (RESOLVE, "resolved")])
def test_a_policy_that_ends_what_nobody_was_paged_for_says_so_and_pages(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox,
    change: dict[str, Any], status: str,
) -> None:  # fmt: skip
    add_policy(name="Quick", steps=[step(0, change), *steps(30)])
    incident = open_incident()
    tick()
    assert admin.on(client).incident(incident["id"])["status"] == status
    assert paged(outbox) == [ADMIN]
    assert f"a policy {status} this incident" in " ".join(outbox.sent[0].body.split())
    [entry] = [e for e in admin.on(client).timeline(incident["id"]) if e["event_type"] == "ended_without_page"]
    assert entry["description"] == f"Policy “Quick” {status} this incident before anybody had received a page about it."


def test_a_page_that_was_not_accepted_yet_does_not_count(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    clock: Clock, outbox: Outbox, sms: Outbox,
) -> None:  # fmt: skip
    add_policy(steps=[*steps(0, target=on_call.id, channels=["email"]), step(0.5, ACKNOWLEDGE)])
    incident = open_incident()
    outbox.answers = [BUSY] * 3
    tick()
    clock.advance(seconds=30)
    outbox.answers = []
    tick()
    assert "ended_without_page" in timeline(client, incident, admin)
    assert ADMIN in paged(outbox)


@pytest.mark.parametrize("own_step", [True, False])
def test_a_policy_that_has_paged_somebody_may_end_it(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    clock: Clock, outbox: Outbox, own_step: bool,
) -> None:  # fmt: skip
    page = notify(target=on_call.id)
    add_policy(steps=[step(0, ACKNOWLEDGE, page)] if own_step else [step(0, page), step(5, RESOLVE)])
    incident = open_incident()
    tick()
    clock.advance(minutes=5)
    tick()
    assert paged(outbox) == [on_call.email]
    assert "ended_without_page" not in timeline(client, incident, admin)


def test_a_page_of_an_earlier_cycle_does_not_count(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    clock: Clock, outbox: Outbox, user: Person,
) -> None:  # fmt: skip
    first = add_policy(steps=steps(0, target=on_call.id))
    incident = open_incident()
    tick()
    act(client, incident, "acknowledge", user)
    add_policy(steps=[step(0, ACKNOWLEDGE)])
    admin.on(client).call(f"PUT /escalation/policies/{first['id']}", {"is_active": False})
    act(client, incident, "reopen", user)
    tick()
    assert "ended_without_page" in timeline(client, incident, admin)
    assert paged(outbox) == [on_call.email, ADMIN]


def test_if_no_administrator_can_be_told_the_alarm_is_raised(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
) -> None:  # fmt: skip
    for channel in ("email", "sms"):
        put(client, admin, channel, enabled=False)
    add_policy(steps=[step(0, ACKNOWLEDGE)])
    incident = open_incident()
    tick()
    assert "nobody_reachable" in timeline(client, incident, admin)


def test_why_names_the_steps_in_the_order_in_which_they_fire(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
) -> None:  # fmt: skip
    late = [step(10, COMMENT), *steps(30, target=on_call.id), *steps(50, target=admin.id)]
    add_policy(steps=[*steps(0, target="assignees"), *late])
    incident = open_incident()
    tick()
    found = admin.on(client).call(f"GET /incidents/{incident['id']}/why")
    [mine] = [person["reasons"] for person in found["people"] if person["recipient"] == f"user:{admin.id}"]
    [event] = [one for one in events(client, incident, admin) if one["step"] == 2]
    assert [(reason["code"], reason["step"]) for reason in mine] == [("not_due", 3)]
    assert mine[0]["at"] > event["triggered_at"]
