"""When steps fire, and what stops them: seed, move the clock, tick, expect the page and no other."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.support.scenario import Opener, Tick, act, events, steps
from tests.support.world import Clock, Outbox, Person


def test_steps_fire_at_their_delays_and_only_once(
    add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock, outbox: Outbox
) -> None:
    add_policy(steps=steps(0, 5, 15))
    open_incident()
    sent = []
    for minutes in (0, 4, 1, 0, 9, 1, 60):
        clock.advance(minutes=minutes)
        tick()
        sent.append(len(outbox.sent))
    assert sent == [1, 1, 2, 2, 2, 3, 3]


def test_an_hour_of_outage_does_not_end_in_a_burst(
    add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock, outbox: Outbox
) -> None:
    add_policy(steps=steps(0, 5, 15))
    open_incident()
    clock.advance(hours=1)
    tick()
    assert len(outbox.sent) == 1
    clock.advance(minutes=5)
    tick()
    assert len(outbox.sent) == 2


def test_a_policy_repeats_its_steps_as_often_as_it_says(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, clock: Clock
) -> None:
    add_policy(steps=steps(0, 2), repeat=2)
    incident = open_incident()
    for _ in range(20):
        tick()
        clock.advance(minutes=1)
    fired = [(event["loop"], event["step"]) for event in events(client, incident, admin)]
    assert fired == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]


def test_matching_policies_run_side_by_side_and_page_a_person_once(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    add_policy()
    add_policy()
    incident = open_incident()
    tick()
    assert len(events(client, incident, admin)) == 2
    assert len(outbox.sent) == 1


def test_a_policy_that_does_not_match_pages_nobody(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    add_policy(conditions={"severity": "critical"})
    incident = open_incident(severity="low")
    tick()
    assert incident["next_escalation_at"] is None
    assert outbox.sent == []


@pytest.mark.parametrize(("action", "query"), [("acknowledge", {}), ("resolve", {}), ("snooze", {"hours": 2})])
def test_whoever_takes_care_of_an_incident_is_not_paged_again(
    client: TestClient,
    user: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    clock: Clock,
    outbox: Outbox,
    action: str,
    query: dict[str, Any],
) -> None:
    add_policy(steps=steps(0, 5))
    incident = open_incident()
    tick()
    moved = act(client, incident, action, user, **query)
    clock.advance(minutes=30)
    tick()
    assert moved["next_escalation_at"] is None
    assert len(outbox.pages) == 1


def test_a_reopened_incident_is_escalated_from_the_first_step(
    client: TestClient,
    user: Person,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    outbox: Outbox,
    clock: Clock,
) -> None:
    add_policy(steps=steps(0, 60))
    incident = open_incident()
    tick()
    clock.advance(seconds=30)
    act(client, incident, "resolve", user)
    act(client, incident, "reopen", user)
    tick()
    assert len(outbox.sent) == 2
    fired = [(event["cycle"], event["loop"], event["step"]) for event in events(client, incident, admin)]
    assert fired == [(1, 0, 0), (2, 1, 0)]


def test_a_snooze_ends_by_itself_and_pages_anew(
    client: TestClient,
    user: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    clock: Clock,
    outbox: Outbox,
) -> None:
    add_policy()
    incident = open_incident()
    tick()
    act(client, incident, "snooze", user, hours=1)
    clock.advance(minutes=59)
    tick()
    assert len(outbox.sent) == 1
    clock.advance(minutes=1)
    tick()
    assert len(outbox.sent) == 2
    read = user.on(client).call(f"GET /incidents/{incident['id']}")
    assert (read["status"], read["snoozed_until"], read["acknowledged_at"]) == ("open", None, None)


def test_a_page_that_waits_is_cancelled_when_somebody_acknowledges(
    client: TestClient,
    user: Person,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    jobs: Any,
    outbox: Outbox,
) -> None:
    add_policy()
    incident = open_incident()
    jobs.plan()
    act(client, incident, "acknowledge", user)
    jobs.send()
    assert outbox.sent == []
    [delivery] = admin.on(client).call("GET /notifications")
    assert delivery["status"] == "cancelled"
