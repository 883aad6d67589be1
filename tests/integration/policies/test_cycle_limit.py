"""Policies that would go on for ever are stopped, and say so."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.support.api import Api
from tests.support.scenario import Opener, Tick, act, events, steps, timeline
from tests.support.world import ADMIN, Clock, Outbox, Person

LOOP = [
    {"type": "change_status", "status": "resolved"},
    {"type": "change_status", "status": "open"},
]
BACK_AND_FORTH = [{"type": "change_status", "status": status} for status in ("acknowledged", "open")]


def test_a_policy_that_reopens_what_it_resolves_is_stopped_and_says_so(
    add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock, client: TestClient, admin: Person
) -> None:
    add_policy(steps=[{"delay_minutes": 0, "actions": LOOP}])
    incident = open_incident()
    for _ in range(10):
        tick()
        clock.advance(seconds=1)
    fired = events(client, incident, admin)
    assert len(fired) == 6
    assert "restarted this incident 5 times" in str(fired[-1]["metadata"])
    assert timeline(client, incident, admin).count("cycle_limit_reached") == 1
    assert admin.on(client).call(f"GET /incidents/{incident['id']}")["status"] == "open"


@pytest.mark.parametrize("loop", [LOOP, BACK_AND_FORTH])
def test_a_policy_that_goes_on_for_ever_keeps_no_other_from_paging(
    add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock, outbox: Outbox, loop: list[dict[str, Any]]
) -> None:
    add_policy(steps=[{"delay_minutes": 0, "actions": loop}])
    add_policy(steps=steps(1, target="creator"))
    open_incident()
    for _ in range(10):
        tick()
    assert [envelope.address for envelope in outbox.sent] == [ADMIN]  # whom the policy that is stopped comes to
    clock.advance(minutes=1)
    tick()
    assert [envelope.address for envelope in outbox.sent] == [ADMIN, "user@example.com"]


def test_what_a_person_does_begins_the_count_anew(
    add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock, client: TestClient, admin: Person
) -> None:
    add_policy(steps=[{"delay_minutes": 0, "actions": LOOP}])
    incident = open_incident()
    for _ in range(10):
        tick()
    for action in ("acknowledge", "reopen"):
        act(client, incident, action, admin)
    for _ in range(10):
        tick()
    assert len(events(client, incident, admin)) > 6


def test_an_alert_that_says_it_got_worse_begins_the_count_anew(
    add_policy: Opener, tick: Tick, client: TestClient, admin: Person
) -> None:
    api = Api(client, admin.headers)
    for severity in ("low", "high"):
        add_policy(conditions={"severity": severity}, steps=[{"delay_minutes": 0, "actions": BACK_AND_FORTH}])
    incident = {"id": api.alert(id="a", severity="low")["incident_id"]}
    for _ in range(10):
        tick()
    assert len(events(client, incident, admin)) == 6
    api.alert(id="a", severity="high")
    for _ in range(10):
        tick()
    assert len(events(client, incident, admin)) == 12
