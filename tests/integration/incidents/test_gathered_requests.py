"""Requests that arrive at one moment share a transaction. Each has the answer that it would have alone."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy import text

from app.core.config import Settings
from app.db.session import Database
from tests.support.api import Api, together, wait_until_somebody_waits_for_a_lock
from tests.support.world import ADMIN, PASSWORD, real_connections

pytestmark = pytest.mark.slow

POLICY = {"name": "everything", "actions": [{"type": "notify", "target": "admins"}]}
NEW = {"title": "Disk full", "severity": "high", "service": "db"}
MANY = 24
LOGIN = {"username": ADMIN, "password": PASSWORD}


@pytest.fixture
def api(settings: Settings, own_database: Database) -> Iterator[Api]:
    with real_connections(settings, own_database) as api:
        api.call("POST /escalation/policies", POLICY, wants=201)
        yield api


def sends(api: Api, line: str, bodies: list[Any]) -> list[Response]:
    return together([partial(api.send, line, body) for body in bodies])


def record_of(api: Api, incident_id: int) -> list[str]:
    """What happened to an incident, oldest first."""
    return [event["event_type"] for event in reversed(api.incident(incident_id)["timeline_events"])]


def test_incidents_that_open_together_each_have_their_record(api: Api) -> None:
    bodies = [NEW | {"title": f"Disk {number} full", "metadata": {"disk": number}} for number in range(MANY)]
    answers = [answer.json() for answer in sends(api, "POST /incidents", bodies)]
    assert [answer["title"] for answer in answers] == [body["title"] for body in bodies]
    assert len({answer["id"] for answer in answers}) == MANY
    for answer in answers:
        read = api.incident(answer["id"])
        assert {name: read[name] for name in answer} == answer
        assert record_of(api, answer["id"]) == ["created", "escalation_started"]


def test_a_refused_opening_takes_no_other_with_it(api: Api) -> None:
    bodies = [NEW | {"assigned_to": 1_000_000 if number % 3 == 0 else 1} for number in range(MANY)]
    answers = sends(api, "POST /incidents", bodies)
    assert [answer.status_code for answer in answers] == [422 if number % 3 == 0 else 201 for number in range(MANY)]
    assert answers[0].json()["errors"][0]["pointer"] == "/assigned_to"
    assert len(api.call("GET /incidents")) == sum(answer.status_code == 201 for answer in answers)


def test_the_same_key_opens_one_incident_however_many_ask(api: Api) -> None:
    keyed = [partial(api.send, "POST /incidents", NEW, headers={"Idempotency-Key": "one"}) for _ in range(4)]
    answers = together([*keyed, *[partial(api.send, "POST /incidents", NEW)] * 4])
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 5


@pytest.mark.parametrize(("action", "status"), [("acknowledge", "acknowledged"), ("resolve", "resolved")])
def test_actions_that_come_together_are_each_answered_for_themselves(api: Api, action: str, status: str) -> None:
    ids = [api.open()["id"] for _ in range(6)]
    missing = max(ids) + 1_000
    lines = [f"POST /incidents/{id_}/{action}" for id_ in [*ids, missing]]
    answers = together([partial(api.send, line) for line in lines])
    assert [answer.status_code for answer in answers] == [200] * len(ids) + [404]
    assert {(answer.json()["status"], answer.json()["next_escalation_at"]) for answer in answers[:-1]} == {
        (status, None)
    }
    for id_ in ids:
        assert Counter(record_of(api, id_))[status] == 1


def test_what_cannot_be_acknowledged_takes_no_other_with_it(api: Api) -> None:
    ids = [api.open()["id"] for _ in range(4)]
    api.call(f"POST /incidents/{ids[0]}/resolve")
    answers = together([partial(api.send, f"POST /incidents/{id_}/acknowledge") for id_ in ids])
    assert [answer.status_code for answer in answers] == [409, 200, 200, 200]


def test_the_comment_of_each_action_is_kept(api: Api) -> None:
    ids = [api.open()["id"] for _ in range(4)]
    note: Callable[[int], Any] = lambda id_: {"comment": f"I have {id_}."} if id_ % 2 else None  # noqa: E731
    together([partial(api.call, f"POST /incidents/{id_}/acknowledge", note(id_)) for id_ in ids])
    written = {id_: [comment["content"] for comment in api.incident(id_)["comments"]] for id_ in ids}
    assert written == {id_: [f"I have {id_}."] if id_ % 2 else [] for id_ in ids}


def test_who_acknowledges_one_incident_together_makes_one_assignment(api: Api) -> None:
    id_ = api.open()["id"]
    answers = together([partial(api.call, f"POST /incidents/{id_}/acknowledge")] * 8)
    assert {answer["assigned_to_name"] for answer in answers} == {"admin"}
    assert Counter(record_of(api, id_)) == {"created": 1, "escalation_started": 1, "assigned": 1, "acknowledged": 1}


def test_a_locked_incident_holds_up_no_other(api: Api, own_database: Database) -> None:
    locked, free = (api.open()["id"] for _ in range(2))
    with ThreadPoolExecutor(1) as other_thread, own_database.session() as session:
        session.execute(text(f"SELECT id FROM incidents WHERE id = {locked} FOR UPDATE"))
        waiting = other_thread.submit(api.call, f"POST /incidents/{locked}/acknowledge")
        wait_until_somebody_waits_for_a_lock(own_database)
        assert api.call(f"POST /incidents/{free}/acknowledge")["status"] == "acknowledged"
        assert not waiting.done()
        session.commit()
        assert waiting.result(60)["status"] == "acknowledged"


def test_a_locked_incident_holds_up_no_alert_of_another(api: Api, own_database: Database) -> None:
    locked, free = (api.alert(id=key)["incident_id"] for key in ("locked", "free"))
    with ThreadPoolExecutor(2) as other_threads, own_database.session() as session:
        session.execute(text(f"SELECT id FROM incidents WHERE id = {locked} FOR UPDATE"))
        repeated = other_threads.submit(api.alert, id="locked")
        wait_until_somebody_waits_for_a_lock(own_database)
        assert api.alert(id="free")["incident_id"] == free
        assert api.alert(id="free", status="ok")["status"] == "incident_resolved"
        recovered = other_threads.submit(api.alert, id="locked", status="ok")
        session.commit()
        assert repeated.result(60)["status"] == "incident_updated"
        assert recovered.result(60)["status"] == "incident_resolved"
    assert api.incident(locked)["alert_count"] == 2


def test_a_session_that_has_ended_is_refused_among_others(api: Api) -> None:
    other = Api(api.client, {"Authorization": f"Bearer {log_in(api)['access_token']}"})
    tokens = log_in(api)
    ended = Api(api.client, {"Authorization": f"Bearer {tokens['access_token']}"})
    ended.call("POST /incidents", NEW, wants=201)
    api.call("POST /auth/logout", {"refresh_token": tokens["refresh_token"]})
    answers = together([partial(who.send, "POST /incidents", NEW) for who in [api, ended, other] * 4])
    assert [answer.status_code for answer in answers] == [201, 401, 201] * 4


def log_in(api: Api) -> dict[str, Any]:
    tokens: dict[str, Any] = api.call("POST /auth/login/access-token", LOGIN)
    return tokens
