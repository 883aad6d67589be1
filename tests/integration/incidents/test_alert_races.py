"""Alerts that arrive at one moment, each on a connection of its own."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from random import Random
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.config import Settings
from app.core.source import AlertSignal
from app.core.vocabulary import Severity
from app.crud.clock import now
from app.db.session import Database
from app.services.incidents import alert_service, incident_service, lifecycle_service
from app.services.incidents.incident import Move, MoveRequest
from tests.support.api import Api, together, wait_until_somebody_waits_for_a_lock
from tests.support.world import Person, real_connections

pytestmark = pytest.mark.slow

POSTS = 32
SIGNAL = AlertSignal("elastic", "a", True, "Disk full", None, None, "db", {})
POLICY = {"name": "everything", "actions": [{"type": "notify", "target": "admins"}]}

Answers = list[dict[str, Any]]


@pytest.fixture
def api(settings: Settings, own_database: Database) -> Iterator[Api]:
    with real_connections(settings, own_database) as api:
        api.call("POST /escalation/policies", POLICY, wants=201)
        yield api


def counts(answers: Answers) -> Counter[str]:
    return Counter(result["status"] for answer in answers for result in answer["results"])


def assert_the_books_balance(api: Api, answers: Answers) -> None:
    """Each answer is true of the incidents that there are, and no alert has two that are not resolved."""
    incidents = [i for skip in (0, 500) for i in api.call(f"GET /incidents?limit=500&skip={skip}")]
    told = counts(answers)
    assert len(incidents) == told["incident_created"]
    assert sum(i["alert_count"] for i in incidents) == told["incident_created"] + told["incident_updated"]
    assert sum(i["status"] == "resolved" for i in incidents) == told["incident_resolved"]
    unresolved = Counter(i["alert_id"] for i in incidents if i["status"] != "resolved")
    assert set(unresolved.values()) <= {1}


def test_one_alert_posted_often_at_once_opens_one_incident(api: Api) -> None:
    answers = together([partial(api.alert, id="a", severity="low")] * POSTS)
    assert counts(answers) == {"incident_created": 1, "incident_updated": POSTS - 1}
    assert len({answer["incident_id"] for answer in answers}) == 1
    incident = api.incident(answers[0]["incident_id"])
    assert incident["alert_count"] == POSTS
    record = Counter(event["event_type"] for event in incident["timeline_events"])
    assert record == {"created": 1, "escalation_started": 1, "alert_repeated": POSTS - 1}


def test_alerts_that_rise_at_once_end_at_the_worst(api: Api) -> None:
    severities = ["low", "medium", "high", "critical"] * 8
    answers = together([partial(api.alert, id="a", severity=severity) for severity in severities])
    [incident] = api.call("GET /incidents")
    assert (incident["severity"], incident["alert_count"]) == ("critical", POSTS)
    assert counts(answers)["incident_created"] == 1


@pytest.mark.parametrize("statuses", [["firing"], ["ok", "firing"]])
@pytest.mark.parametrize("outcome", ["incident_updated", "incident_created"])
def test_an_alert_waits_for_another_that_is_just_opening_the_same(
    api: Api, own_database: Database, outcome: str, statuses: list[str]
) -> None:
    with ThreadPoolExecutor(1) as other_thread, own_database.session() as session:
        [first] = alert_service.ingest(session, [SIGNAL], default_severity=Severity.HIGH)
        answer = other_thread.submit(api.alert, alerts=[{"id": "a", "status": status} for status in statuses])
        wait_until_somebody_waits_for_a_lock(own_database)
        if outcome == "incident_updated":
            session.commit()
        else:
            session.rollback()
        second = answer.result(30)["results"][-1]
    assert second["status"] == outcome
    assert (second["incident_id"] == first.incident_id) == (outcome == "incident_updated")
    assert [i["id"] for i in api.call("GET /incidents")] == [second["incident_id"]]


def test_an_alert_that_waited_for_the_end_of_its_incident_opens_another(api: Api, own_database: Database) -> None:
    resolved = api.alert(id="a")["incident_id"]
    with ThreadPoolExecutor(1) as other_thread, own_database.session() as session:
        incident = incident_service.locked(session, resolved)
        lifecycle_service.move(session, incident, MoveRequest(Move.RESOLVE, now(session)))
        session.flush()
        answer = other_thread.submit(api.alert, id="a")
        wait_until_somebody_waits_for_a_lock(own_database)
        session.commit()
        assert answer.result(30)["status"] == "incident_created"
    assert [i["status"] for i in api.call("GET /incidents")] == ["open", "resolved"]


@pytest.mark.parametrize("is_open", [False, True])
def test_an_alert_that_fires_and_recovers_at_once_has_one_open_incident(api: Api, is_open: bool) -> None:
    before = [api.alert(id="a")] if is_open else []
    answers = together([partial(api.alert, id="a", status=status) for status in ["firing", "ok"] * (POSTS // 2)])
    assert_the_books_balance(api, before + answers)


@pytest.mark.parametrize("seed", range(3))
def test_bodies_that_list_the_same_alerts_in_other_orders_all_apply(api: Api, seed: int) -> None:
    random = Random(seed)
    keys = [f"key-{n}" for n in range(40)]

    def body() -> list[dict[str, str]]:
        return [{"id": key, "status": random.choice(["firing", "ok"])} for key in random.sample(keys, len(keys))]

    answers: Answers = []
    for _ in range(2):
        answers += together([partial(api.alert, alerts=body()) for _ in range(12)])
        assert_the_books_balance(api, answers)


def test_a_person_and_an_alert_at_once_leave_one_of_their_results(api: Api) -> None:
    incident_id = api.alert(id="a")["incident_id"]
    jobs = [
        partial(api.send, f"POST /incidents/{incident_id}/resolve"),
        partial(api.send, "POST /alerts/elastic", {"id": "a"}),
    ]
    statuses = [answer.status_code for answer in together(jobs * 8)]
    assert set(statuses) == {200, 201}
    unresolved = api.call("GET /incidents?status=open")
    assert len(unresolved) <= 1
    assert sum(i["alert_count"] for i in api.call("GET /incidents")) == 9


def test_keyless_alerts_at_once_each_open_their_own(api: Api) -> None:
    answers = together([partial(api.alert, name=f"alert {n}") for n in range(POSTS)])
    opened = {api.incident(answer["incident_id"])["title"] for answer in answers}
    assert opened == {f"alert {n}" for n in range(POSTS)}


@pytest.mark.parametrize("deadlocks", [1, 3])
def test_a_request_that_the_database_ends_for_a_deadlock_is_tried_again(
    client: TestClient, user: Person, session: Session, deadlocks: int
) -> None:
    """A sequence is not rolled back, so that the trigger knows how often it was called."""
    session.execute(text("CREATE SEQUENCE tries"))
    session.execute(
        text(f"""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('tries') <= {deadlocks} THEN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01'; END IF;
            RETURN NEW;
        END $$""")
    )
    session.execute(text("CREATE TRIGGER refuse BEFORE INSERT ON incidents FOR EACH ROW EXECUTE FUNCTION refuse()"))
    session.commit()
    api = Api(client, user.headers)
    assert api.alert(id="a")["status"] == "incident_created"
    [incident] = api.call("GET /incidents")
    assert (incident["alert_count"], len(api.timeline(incident["id"]))) == (1, 1)
