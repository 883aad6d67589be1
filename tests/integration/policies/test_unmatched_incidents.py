"""An incident that no policy matches is recorded, listed and, as the setting wants it, paged to the administrators."""

import re
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from app.core.channel import Outcome
from app.core.vocabulary import AttemptOutcome, UnmatchedIncidents
from app.services.operations import dead_man_service
from app.utils.service_locator import Services
from app.worker import Jobs
from tests.support.api import Api
from tests.support.logs import captured
from tests.support.scenario import Opener, Tick, steps
from tests.support.statements import statements
from tests.support.world import Clock, Outbox, Person

NOTE = "no escalation policy matches this incident"
DEAD = Outcome(AttemptOutcome.DEAD, error="no such address")


@pytest.fixture
def api(client: TestClient, admin: Person) -> Api:
    return admin.on(client)


def unmatched(api: Api) -> list[int]:
    return [incident["id"] for incident in api.call("GET /incidents?unmatched=true")]


def entries(api: Api, incident_id: int) -> int:
    record = api.call(f"GET /incidents/{incident_id}/timeline")
    return [event["event_type"] for event in record].count("no_policy_matched")


def notes(outbox: Outbox) -> list[bool]:
    return [NOTE in " ".join(envelope.body.split()) for envelope in outbox.sent]


def test_an_alert_that_no_policy_matches_pages_the_administrators(api: Api, tick: Tick, outbox: Outbox) -> None:
    incident_id = api.alert(id="a")["incident_id"]
    tick()
    tick()
    assert (notes(outbox), entries(api, incident_id), unmatched(api)) == ([True], 1, [incident_id])


@pytest.mark.parametrize("by_alert", [True, False])
@pytest.mark.parametrize("setting", UnmatchedIncidents)
def test_the_setting_says_for_which_the_administrators_are_paged(
    api: Api, services: Services, jobs: Jobs, outbox: Outbox, setting: UnmatchedIncidents, by_alert: bool
) -> None:
    jobs._paging = replace(services.paging, unmatched=setting)
    incident_id = api.alert(id="a")["incident_id"] if by_alert else api.open()["id"]
    jobs.plan()
    jobs.send()
    is_paged = setting is UnmatchedIncidents.PAGE_ADMINS or (
        by_alert and setting is UnmatchedIncidents.PAGE_ADMINS_FOR_ALERTS
    )
    assert notes(outbox) == [True] * is_paged
    assert (entries(api, incident_id), unmatched(api)) == (1, [incident_id])


def test_a_matched_incident_is_not_listed(api: Api, add_policy: Opener, tick: Tick, outbox: Outbox) -> None:
    add_policy()
    matched = api.alert(id="a")["incident_id"]
    tick()
    assert (notes(outbox), entries(api, matched), unmatched(api)) == ([False], 0, [])
    assert [incident["id"] for incident in api.call("GET /incidents?unmatched=false")] == [matched]


def test_a_policy_that_comes_to_match_takes_it_off_the_list(
    api: Api, add_policy: Opener, tick: Tick, outbox: Outbox
) -> None:
    incident_id = api.alert(id="a", severity="low")["incident_id"]
    add_policy(conditions={"severity": "critical"})
    assert unmatched(api) == [incident_id]
    api.call(f"PUT /incidents/{incident_id}", {"severity": "critical"})
    assert unmatched(api) == []
    tick()
    assert notes(outbox) == [False]


def test_a_policy_that_is_created_takes_it_off_the_list(api: Api, add_policy: Opener, tick: Tick) -> None:
    api.alert(id="a")
    add_policy()
    tick()
    assert unmatched(api) == []


@pytest.mark.parametrize("way", ["switched off", "deleted", "another severity"])
def test_when_the_last_policy_goes_and_has_paged_nobody_the_admins_are_paged(
    api: Api, add_policy: Opener, tick: Tick, outbox: Outbox, way: str
) -> None:
    policy = add_policy(steps=steps(30), conditions={"severity": "high"})
    incident_id = api.alert(id="a", severity="high")["incident_id"]
    tick()
    line, body = {
        "switched off": (f"PUT /escalation/policies/{policy['id']}", {"is_active": False}),
        "deleted": (f"DELETE /escalation/policies/{policy['id']}", None),
        "another severity": (f"PUT /incidents/{incident_id}", {"severity": "low"}),
    }[way]
    api.call(line, body)
    tick()
    assert (notes(outbox), entries(api, incident_id), unmatched(api)) == ([True], 1, [incident_id])


def test_when_the_last_policy_goes_after_it_paged_nobody_is_paged_again(
    api: Api, add_policy: Opener, tick: Tick, clock: Clock, outbox: Outbox
) -> None:
    policy = add_policy()
    incident_id = api.alert(id="a")["incident_id"]
    tick()
    api.call(f"PUT /escalation/policies/{policy['id']}", {"is_active": False})
    clock.advance(minutes=1)  # a second page within it would only be throttled
    tick()
    assert (notes(outbox), unmatched(api)) == ([False], [incident_id])


def test_each_cycle_is_paged_and_recorded(api: Api, tick: Tick, clock: Clock, outbox: Outbox) -> None:
    incident_id = api.alert(id="a", severity="low")["incident_id"]
    tick()
    api.call(f"POST /incidents/{incident_id}/snooze?hours=1")
    clock.advance(hours=1)
    tick()
    api.call(f"POST /incidents/{incident_id}/resolve")
    api.call(f"POST /incidents/{incident_id}/reopen")
    clock.advance(minutes=1)
    tick()
    api.call(f"POST /incidents/{incident_id}/acknowledge")
    api.alert(id="a", severity="critical")
    clock.advance(minutes=1)
    tick()
    assert (notes(outbox), entries(api, incident_id)) == ([True] * 4, 4)


@pytest.mark.parametrize("action", ["acknowledge", "resolve", "snooze?hours=1"])
def test_whoever_acts_before_the_page_stops_it(api: Api, tick: Tick, outbox: Outbox, action: str) -> None:
    incident_id = api.alert(id="a")["incident_id"]
    api.call(f"POST /incidents/{incident_id}/{action}")
    tick()
    assert outbox.sent == []


def test_an_admin_who_cannot_be_reached_is_tried_again_every_five_minutes(
    api: Api, services: Services, tick: Tick, clock: Clock, outbox: Outbox
) -> None:
    incident_id = api.alert(id="a")["incident_id"]
    outbox.answers = [DEAD]
    for _ in range(3):
        tick()
    record = [event["event_type"] for event in api.call(f"GET /incidents/{incident_id}/timeline")]
    assert record.count("nobody_reachable") == 1
    with services.database.transaction() as session:
        assert not dead_man_service.is_well(session)
    clock.advance(minutes=5)
    tick()
    assert notes(outbox) == [True, True]
    with services.database.transaction() as session:
        assert dead_man_service.is_well(session)


def test_what_no_policy_matches_is_a_warning_in_the_log(api: Api) -> None:
    with captured() as lines:
        incident_id = api.alert(id="a")["incident_id"]
    [line] = [line for line in lines.getvalue().splitlines() if "no_policy_matched" in line]
    assert "warning" in line
    assert re.search(rf"incident_id\W+{incident_id}\b", line)  # in whichever form was configured last


def test_many_unmatched_alerts_take_as_many_statements_as_one(api: Api, services: Services) -> None:
    def count(number: int, prefix: str) -> int:
        with statements(services.database) as seen:
            api.call("POST /alerts/elastic", {"alerts": [{"id": f"{prefix}{n}"} for n in range(number)]}, wants=201)
        return len(seen)

    count(1, "first: the policies are read only now")
    assert count(40, "b") == count(2, "a")
