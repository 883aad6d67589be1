"""What a step of a policy does beside paging: it calls a URL, comments, and sets the severity."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from standardwebhooks import Webhook

from app.core.channel import CHANNELS, Outcome
from app.core.config import Settings
from app.core.vocabulary import AttemptOutcome
from app.db.session import Database
from app.integrations import connections
from app.integrations.channels.webhook import WebhookSettings
from app.services.delivery import fallback_service
from app.services.policies import step_service
from app.utils.service_locator import Services, build_services
from tests.support.answers import problem
from tests.support.http_server import Answer, HttpServer, http_server
from tests.support.scenario import Opener, Tick, act, events, timeline
from tests.support.world import Clock, Outbox, Person

URL = "https://hooks.example/step?key=hush"
SECRET = "whsec_" + "bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5u"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server
    connections.pools().clear()


@pytest.fixture
def services(settings: Settings, database: Database, outbox: Outbox) -> Services:
    """With a webhook channel that may call the test's server."""
    own = WebhookSettings(_env_file=None, webhook_signing_secrets=SECRET, webhook_allow_private_addresses=True)
    webhook = CHANNELS["webhook"].set_up(settings, own)
    built = build_services(settings, database, channels={outbox.name: outbox, "webhook": webhook})
    return replace(built, paging=replace(built.paging, channel_settings={"webhook": own}))


def at_once(*actions: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"delay_minutes": 0, "actions": list(actions)}]


def told(client: TestClient, incident: dict[str, Any], by: Person, kind: str) -> list[dict[str, Any]]:
    """The entries of one kind in an incident's timeline."""
    entries = by.on(client).call(f"GET /incidents/{incident['id']}/timeline")
    return [entry for entry in entries if entry["event_type"] == kind]


def severity(client: TestClient, incident: dict[str, Any], by: Person) -> str:
    found: str = by.on(client).call(f"GET /incidents/{incident['id']}")["severity"]
    return found


def test_a_step_posts_what_its_template_says(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, server: HttpServer
) -> None:
    body = {"text": "{{ incident.service }}: {{ incident.title }}", "tags": ["{{ incident.severity }}", 1, None, True]}
    add_policy(steps=at_once({"type": "webhook", "url": f"{server.url}/step", "body": body}))
    incident = open_incident(title='Disk "full"', service="database", severity="low")
    tick()
    [request] = server.requests
    expected = {"text": 'database: Disk "full"', "tags": ["low", 1, None, True]}
    assert Webhook(SECRET).verify(request.body, dict(request.headers)) == expected
    [event] = events(client, incident, admin)
    assert (event["status"], event["metadata"]["actions"]) == ("completed", [{"type": "webhook"}])


def test_without_a_body_it_posts_the_incident(
    admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, server: HttpServer
) -> None:
    policy = add_policy(steps=at_once({"type": "webhook", "url": server.url}))
    incident = open_incident()
    tick()
    said = server.requests[0].json()
    assert (said["type"], said["data"]["policy_id"]) == ("webhook_action", policy["id"])
    assert said["data"]["incident"]["id"] == incident["id"]


def test_a_call_is_made_though_its_step_resolves_the_incident(
    add_policy: Opener, open_incident: Opener, tick: Tick, server: HttpServer
) -> None:
    add_policy(steps=at_once({"type": "webhook", "url": server.url}, {"type": "change_status", "status": "resolved"}))
    open_incident()
    tick()
    assert len(server.requests) == 1


def test_each_different_call_of_a_step_is_made_once(
    add_policy: Opener, open_incident: Opener, tick: Tick, server: HttpServer
) -> None:
    calls = [{"type": "webhook", "url": server.url, "body": {"n": n}} for n in (1, 2, 1)]
    add_policy(steps=at_once(*calls))
    open_incident()
    tick()
    tick()
    assert sorted(request.json()["n"] for request in server.requests) == [1, 2]


def test_a_call_that_is_accepted_reaches_nobody(
    services: Services, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, server: HttpServer,
    outbox: Outbox,
) -> None:  # fmt: skip
    outbox.answers = [Outcome(AttemptOutcome.DEAD)]
    somebody = {"type": "notify", "target": "somebody@example.com"}
    add_policy(steps=at_once({"type": "webhook", "url": server.url}, somebody))
    open_incident()
    tick()
    assert len(server.requests) == 1
    with services.database.transaction() as session:
        fallback_service.fall_back(session, services.paging, limit=10)
    tick()
    assert [page.address for page in outbox.sent] == ["somebody@example.com", admin.email]


@pytest.mark.parametrize(
    ("answer", "result", "description", "shown"),
    [
        (Answer(202, "queued"), "accepted", "The webhook of an escalation policy answered 202.", "queued"),
        (Answer(404, "no such hook"), "dead", "The webhook of an escalation policy answered 404.", None),
    ],
    ids=["accepted", "refused"],
)
def test_the_answer_of_a_call_is_on_the_timeline(
    client: TestClient, user: Person, add_policy: Opener, open_incident: Opener, tick: Tick, server: HttpServer,
    answer: Answer, result: str, description: str, shown: str | None,
) -> None:  # fmt: skip
    server.script(answer)
    add_policy(steps=at_once({"type": "webhook", "url": f"{server.url}?key=hush"}))
    incident = open_incident()
    tick()
    [entry] = told(client, incident, user, "webhook_called")
    assert entry["description"] == description
    found = entry["metadata"]
    assert (found["status_code"], found["result"], found["answer"]) == (answer.status, result, shown)
    assert "hush" not in json.dumps(entry)
    assert "no such hook" not in json.dumps(entry)


def test_a_comment_is_on_the_timeline(
    client: TestClient, user: Person, add_policy: Opener, open_incident: Opener, tick: Tick
) -> None:
    policy = add_policy(steps=at_once({"type": "comment", "content": "Nobody took {{ incident.title }}."}))
    incident = open_incident(title="Disk <full>")
    tick()
    [entry] = told(client, incident, user, "commented")
    assert (entry["description"], entry["user_id"]) == ("Nobody took Disk <full>.", None)
    assert entry["metadata"] == {"policy_id": policy["id"], "content": "Nobody took Disk <full>."}


def test_a_comment_that_says_nothing_is_not_written(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick
) -> None:
    add_policy(steps=at_once({"type": "comment", "content": "{{ incident.metadata.runbook }}"}))
    incident = open_incident()
    tick()
    assert told(client, incident, admin, "commented") == []
    assert events(client, incident, admin)[0]["metadata"]["actions"] == [{"type": "comment", "skipped": "empty"}]


def test_a_step_sets_the_severity_and_other_policies_see_it(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    add_policy(conditions={"severity": "low"}, steps=at_once({"type": "set_severity", "severity": "critical"}))
    add_policy(conditions={"severity": "critical"}, steps=at_once({"type": "notify", "target": "admins"}))
    incident = open_incident(severity="low")
    tick()
    tick()
    assert severity(client, incident, admin) == "critical"
    [entry] = told(client, incident, admin, "updated")
    assert (entry["user_id"], entry["metadata"]["changes"]) == (None, {"severity": {"from": "low", "to": "critical"}})
    assert [page.address for page in outbox.sent] == [admin.email]


def test_policies_that_undo_each_other_come_to_an_end(
    client: TestClient, services: Services, admin: Person, add_policy: Opener, open_incident: Opener, clock: Clock
) -> None:
    for one, other in (("low", "high"), ("high", "low")):
        add_policy(conditions={"severity": one}, steps=at_once({"type": "set_severity", "severity": other}), repeat=9)
    incident = open_incident(severity="low")
    for _ in range(30):
        with services.database.transaction() as session:
            step_service.run_due(session, services.paging, limit=10)
        clock.advance(minutes=1)
    assert len(told(client, incident, admin, "updated")) == 2
    assert severity(client, incident, admin) == "low"
    assert timeline(client, incident, admin).count("escalation_started") <= 4


def test_in_a_new_cycle_the_severity_is_set_again(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick
) -> None:
    add_policy(steps=at_once({"type": "set_severity", "severity": "critical"}))
    incident = open_incident(severity="low")
    tick()
    admin.on(client).call(f"PUT /incidents/{incident['id']}", {"severity": "low"})
    act(client, incident, "acknowledge", admin)
    act(client, incident, "reopen", admin)
    tick()
    assert severity(client, incident, admin) == "critical"


def test_an_action_that_fails_is_noted_and_the_others_go_on(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    endless = "{% for a in incident.metadata.many %}{% for b in incident.metadata.many %}x{% endfor %}{% endfor %}"
    add_policy(steps=at_once({"type": "comment", "content": endless}, {"type": "notify", "target": "admins"}))
    incident = open_incident(metadata={"many": list(range(1000))})
    tick()
    [event] = events(client, incident, admin)
    assert event["status"] == "failed"
    assert event["metadata"]["actions"][0]["error"].startswith("Line 1:")
    assert len(outbox.sent) == 1


@pytest.mark.parametrize(
    ("action", "pointer"),
    [
        ({"type": "webhook"}, "url"),
        ({"type": "webhook", "url": "ftp://hooks.example/"}, "url"),
        ({"type": "webhook", "url": "hooks.example"}, "url"),
        ({"type": "webhook", "url": "https://me:hush@hooks.example/"}, "url"),
        ({"type": "webhook", "url": "https://hooks.example:99999/"}, "url"),
        ({"type": "webhook", "url": "https://hooks.example/a b"}, "url"),
        ({"type": "webhook", "url": f"https://hooks.example/{'x' * 2048}"}, "url"),
        ({"type": "webhook", "url": URL, "headers": {}}, "headers"),
        ({"type": "webhook", "url": URL, "body": "text"}, "body"),
        ({"type": "webhook", "url": URL, "body": {"a/b": [1, "{{ broken"]}}, "body/a~1b/1"),
        ({"type": "comment"}, "content"),
        ({"type": "comment", "content": " "}, "content"),
        ({"type": "comment", "content": "{% if %}"}, "content"),
        ({"type": "set_severity", "severity": "worse"}, "severity"),
        ({"type": "set_severity"}, "severity"),
    ],
)
def test_an_action_that_could_not_work_is_refused(
    client: TestClient, admin: Person, action: dict[str, Any], pointer: str
) -> None:
    body = {"name": "Policy", "conditions": {}, "steps": at_once(action)}
    answer = admin.on(client).send("POST /escalation/policies", body)
    problem(answer, 422, pointer=f"/steps/0/actions/0/{pointer}")
    assert "hush" not in answer.text


def test_a_change_of_a_policy_is_looked_at_as_well(
    client: TestClient, admin: Person, add_policy: Callable[..., dict[str, Any]]
) -> None:
    policy = add_policy()
    body = {"steps": at_once({"type": "comment", "content": "{{ broken"})}
    answer = admin.on(client).send(f"PUT /escalation/policies/{policy['id']}", body)
    problem(answer, 422, pointer="/steps/0/actions/0/content")
