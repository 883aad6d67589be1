"""Administrators word messages: what is taken, what is sent by it, and what is sent when it fails."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.channel import CHANNELS
from app.core.vocabulary import MessageKind
from app.services.messages import message_service
from app.services.messages.message import plain
from app.services.messages.message_sample import sample
from tests.support.answers import problem
from tests.support.logs import captured
from tests.support.page_links import XSS
from tests.support.scenario import Opener, Tick
from tests.support.world import Outbox, Person

TEMPLATES = "/v1/notification-templates"
PAGE = f"{TEMPLATES}/email/page"
URL = "https://pager.example.com"


@pytest.fixture
def word(client: TestClient, admin: Person) -> Callable[..., dict[str, Any]]:
    """Sets a wording as the administrator."""

    def run(path: str = PAGE, **wording: Any) -> dict[str, Any]:
        answer = client.put(path, json=wording, headers=admin.headers)
        assert answer.status_code == 200, answer.text
        read: dict[str, Any] = answer.json()
        return read

    return run


@pytest.fixture
def preview(client: TestClient, admin: Person) -> Callable[..., dict[str, Any]]:
    """Tries a wording as the administrator."""

    def run(path: str = PAGE, **wanted: Any) -> dict[str, Any]:
        answer = client.post(f"{path}/preview", json=wanted, headers=admin.headers)
        assert answer.status_code == 200, answer.text
        read: dict[str, Any] = answer.json()
        return read

    return run


@pytest.mark.parametrize(
    ("literal", "shown"), [(r"\0", ""), (r"\ud83d\udea8", "🚨"), (r"\ud83d", "\ufffd"), ("é", "é")]
)
@pytest.mark.parametrize("event", ["page", "bundle"])
def test_what_a_literal_spells_and_no_database_stores_is_mended(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, word: Callable[..., Any],
    event: str, literal: str, shown: str,
) -> None:  # fmt: skip
    word(
        f"{TEMPLATES}/email/{event}", body='Look: {{ "' + literal + '" }}!', subject='{{ "' + literal + '" }} it burns'
    )
    add_policy()
    for _ in range(2 if event == "bundle" else 1):
        open_incident()
    tick()
    [sent] = outbox.sent
    assert (sent.body, sent.subject) == (f"Look: {shown}!", f"{shown} it burns".strip())


@pytest.mark.parametrize("event", MessageKind)
@pytest.mark.parametrize("channel", CHANNELS.names())
def test_every_message_is_shipped_and_can_be_sent_back_as_it_is_read(
    client: TestClient, admin: Person, word: Callable[..., Any], channel: str, event: MessageKind
) -> None:
    path = f"{TEMPLATES}/{channel}/{event}"
    read = client.get(path, headers=admin.headers).json()
    assert (read["is_default"], read["updated_at"], read["updated_by"]) == (True, None, None)
    with captured() as log:
        said = message_service.default(channel, sample(event, channel, url=URL))
    assert "template_failed" not in log.getvalue()
    assert said.subject == plain(sample(event, channel, url=URL)).subject
    unset = {"is_default": True, "updated_at": None, "updated_by": None, "updated_by_name": None}
    assert word(path, **read) | unset == read


@pytest.mark.parametrize("event", MessageKind)
def test_the_shipped_mail_says_what_the_plain_one_does(event: MessageKind) -> None:
    facts = sample(event, "email", url=URL)
    assert message_service.default("email", facts).body == plain(facts).body


def test_every_message_on_every_channel_is_listed(client: TestClient, admin: Person, word: Callable[..., Any]) -> None:
    own = word(subject="Mine", body="{{ incident.title }}")
    listed = client.get(TEMPLATES, headers=admin.headers).json()
    pairs = [(item["channel"], item["event"]) for item in listed]
    assert len(pairs) == len(set(pairs))
    assert {event for channel, event in pairs if channel == "sms"} == set(MessageKind)
    assert [item for item in listed if not item["is_default"]] == [own]


def test_a_page_is_worded_as_an_administrator_wants(
    client: TestClient,
    admin: Person,
    word: Callable[..., Any],
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    outbox: Outbox,
) -> None:
    read = word(subject="{{ incident.id }}:\n{{ incident.title }}", body="{{ incident.metadata.host }}!{{ link }}")
    assert (read["is_default"], read["updated_by"], read["html"]) == (False, admin.id, None)
    add_policy()
    incident = open_incident(metadata={"host": "db-1"})
    tick()
    [sent] = outbox.sent
    assert sent.subject == f"{incident['id']}: {incident['title']}"
    assert sent.body.startswith("db-1!http")
    assert sent.html is None


def test_a_mail_has_a_button_as_html_that_escapes_everything(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    add_policy(steps=[{"delay_minutes": 0, "actions": [{"type": "notify", "target": "admins", "message": XSS}]}])
    open_incident(title=XSS, description=XSS, service=XSS)
    tick()
    [sent] = outbox.sent
    assert sent.html is not None
    assert "<script" not in sent.html
    assert sent.html.count("&lt;script&gt;") == 4
    assert f'<a href="{sent.pages[0].link}"' in sent.html
    assert "src=" not in sent.html


@pytest.mark.parametrize(
    "stored",
    [
        {"body": "{{ incident.severity < 3 }}"},
        {"body": "{% if %}"},
        {"body": "{{ incident.nothing }}"},
        {"subject": "{{ incident.nothing }}"},
        {"html": "{% include 'x' %}"},
        {"body": "{{ incident.description }}" * 11},  # fits for others
    ],
)
def test_a_template_that_fails_sends_the_default_and_logs_it(
    session: Session,
    word: Callable[..., Any],
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    outbox: Outbox,
    stored: dict[str, str],
) -> None:
    word(subject="Mine", body="Mine", html="Mine")
    columns = ", ".join(f"{name} = :{name}" for name in stored)
    session.execute(text(f"UPDATE notification_templates SET {columns}"), stored)
    session.commit()
    add_policy()
    with captured() as log:
        open_incident(title="Disk full", description="x" * 2000)
        tick()
    [sent] = outbox.sent
    assert "Disk full" in sent.subject
    assert "Severity: high" in sent.body
    [line] = [line for line in log.getvalue().splitlines() if "template_failed" in line]
    assert "email" in line
    assert "Disk full" not in line


@pytest.mark.parametrize(
    ("wording", "pointer"),
    [
        ({"subject": "{{ x() }}"}, "/subject"),
        ({"subject": "{{ incident.nothing }}"}, "/subject"),
        ({"body": "{% for x in y %}"}, "/body"),
        ({"body": "{{ incident.severity < 3 }}"}, "/body"),
        ({"body": "x", "html": "{{ incident.__class__ }}"}, "/html"),
        ({"body": "x" * 20_001}, "/body"),
        ({"subject": ""}, "/subject"),
        ({"body": None}, "/body"),
        ({"loud": True}, "/loud"),
    ],
)
def test_a_wording_that_could_not_be_sent_is_refused_where_it_is_wrong(
    client: TestClient, admin: Person, wording: dict[str, Any], pointer: str
) -> None:
    answer = client.put(PAGE, json=wording, headers=admin.headers)
    assert [error["pointer"] for error in problem(answer, 422)["errors"]] == [pointer]
    assert client.get(PAGE, headers=admin.headers).json()["is_default"]


def test_only_mail_has_html_and_an_sms_is_short(client: TestClient, admin: Person, word: Callable[..., Any]) -> None:
    sms = f"{TEMPLATES}/sms/page"
    html = client.put(sms, json={"html": "<b>x</b>"}, headers=admin.headers)
    assert problem(html, 422)["errors"][0]["pointer"] == "/html"
    assert word(sms, body="x" * 1600)["body"] == "x" * 1600
    long = client.put(sms, json={"body": "x" * 1601}, headers=admin.headers)
    assert "1600" in problem(long, 422)["detail"]


def test_what_is_absent_stays_but_old_html_does_not_hide_a_new_body(word: Callable[..., Any]) -> None:
    default = message_service.shipped("email", MessageKind.PAGE)
    only_subject = word(subject="Mine")
    assert (only_subject["body"], only_subject["html"]) == (default.body, default.html)
    assert word(html="<b>Mine</b>")["subject"] == "Mine"
    new_body = word(body="Mine too")
    assert (new_body["subject"], new_body["html"]) == ("Mine", None)


def test_deleting_goes_back_to_the_default_as_often_as_one_likes(
    client: TestClient, admin: Person, word: Callable[..., Any]
) -> None:
    before = client.get(PAGE, headers=admin.headers).json()
    word(body="Mine")
    for _ in range(2):
        answer = client.delete(PAGE, headers=admin.headers)
        assert (answer.status_code, answer.json()) == (200, before)
    assert client.get(PAGE, headers=admin.headers).json() == before


def test_a_preview_stores_and_sends_nothing(
    client: TestClient, admin: Person, preview: Callable[..., Any], open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    incident = open_incident(title=XSS)
    wanted = {"subject": "{{ incident.id }}", "body": "{{ incident.title }}", "html": "<p>{{ incident.title }}</p>"}
    shown = preview(**wanted, incident_id=incident["id"])
    assert (shown["subject"], shown["body"], shown["error"]) == (str(incident["id"]), XSS, None)
    assert shown["html"].startswith("<p>&lt;script&gt;")
    tick()
    assert outbox.sent == []
    assert client.get(PAGE, headers=admin.headers).json()["is_default"]


def test_a_preview_fills_in_what_is_stored_and_then_a_sample(
    word: Callable[..., Any], preview: Callable[..., Any]
) -> None:
    word(subject="Mine", body="{{ incident.metadata.host }}")
    assert preview() == {"subject": "Mine", "body": "db-1", "html": None, "error": None}
    assert preview(subject="Other")["subject"] == "Other"


@pytest.mark.parametrize("wanted", [{"body": "{{ x() }}"}, {"body": "{{ incident.nothing }}"}, {"subject": "{% if %}"}])
def test_a_preview_says_what_is_wrong_and_shows_what_would_be_sent(
    preview: Callable[..., Any], wanted: dict[str, str]
) -> None:
    shown = preview(**wanted)
    assert shown["error"]
    assert (shown["subject"], shown["body"]) == (preview()["subject"], preview()["body"])


def test_a_preview_of_a_bundle_shows_what_bundles_have_without_metadata(
    client: TestClient, admin: Person, open_incident: Opener
) -> None:
    wanted = {
        "incident_id": open_incident(metadata={"host": "db-9"})["id"],
        "body": "{% for i in incidents %}{{ i.incident.title }}{{ i.incident.metadata.host }}{% endfor %}",
    }
    shown = client.post(f"{TEMPLATES}/email/bundle/preview", json=wanted, headers=admin.headers).json()
    assert (shown["body"], shown["error"]) == ("Database connection failed", None)


def test_a_preview_of_an_incident_that_does_not_exist_is_refused(client: TestClient, admin: Person) -> None:
    answer = client.post(f"{PAGE}/preview", json={"incident_id": 2**31 - 1}, headers=admin.headers)
    assert problem(answer, 422)["errors"][0]["pointer"] == "/incident_id"


@pytest.mark.parametrize("path", [f"{TEMPLATES}/pigeon/page", f"{TEMPLATES}/email/birthday"])
def test_there_is_no_other_channel_or_event(client: TestClient, admin: Person, path: str) -> None:
    problem(client.get(path, headers=admin.headers), 404)


@pytest.mark.parametrize("request_", ["GET ", "GET /email/page", "PUT /email/page", "DELETE /email/page"])
def test_templates_are_for_administrators(client: TestClient, user: Person, request_: str) -> None:
    method, _, path = request_.partition(" ")
    body = {"subject": "x"} if method == "PUT" else None
    problem(client.request(method, TEMPLATES + path, headers=user.headers, json=body), 403)
    problem(client.post(f"{PAGE}/preview", json={}, headers=user.headers), 403)


def test_a_channel_that_only_another_version_knows_has_the_common_wording() -> None:
    assert message_service.shipped("pigeon", MessageKind.PAGE).html is None
    assert message_service.limit("pigeon", MessageKind.PAGE) == message_service.MAX_BODY
    facts = sample(MessageKind.PAGE, "pigeon", url=URL)
    assert message_service.default("pigeon", facts).body == plain(facts).body
