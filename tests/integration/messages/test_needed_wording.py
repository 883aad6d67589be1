"""What a code or a reset message must say, however an administrator words it: nobody could get in without."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.channel import CHANNELS
from app.core.vocabulary import MessageKind
from tests.support.answers import problem
from tests.support.world import Person

TEMPLATES = "/v1/notification-templates"
NEEDED = {"verification": "{{ code }}", "password_reset": "{{ token }}"}


@pytest.mark.parametrize("event", NEEDED)
@pytest.mark.parametrize("channel", ["email", "sms", "push", "slack"])
@pytest.mark.parametrize(
    "body", ["Look into the subject.", "{{ minutes }}", "{{ incident.title }}{{ channel }} {{ url }}."]
)
def test_a_body_without_what_it_is_sent_for_is_refused(
    client: TestClient, admin: Person, event: str, channel: str, body: str
) -> None:
    path = f"{TEMPLATES}/{channel}/{event}"
    answer = client.put(path, json={"subject": f"x {NEEDED[event]}", "body": body}, headers=admin.headers)
    assert [error["pointer"] for error in problem(answer, 422)["errors"]] == ["/body"]
    assert client.get(path, headers=admin.headers).json()["is_default"]


@pytest.mark.parametrize("event", NEEDED)
def test_a_part_of_it_is_not_enough(client: TestClient, admin: Person, event: str) -> None:
    name = NEEDED[event].strip("{} ")
    body = {"body": f"{{{{ {name} | truncate(5) }}}}"}
    answer = client.put(f"{TEMPLATES}/sms/{event}", json=body, headers=admin.headers)
    assert [error["pointer"] for error in problem(answer, 422)["errors"]] == ["/body"]


@pytest.mark.parametrize("event", NEEDED)
@pytest.mark.parametrize(
    ("body", "html", "pointer"),
    [
        ("It is {needed}.", "<p>It is in the text.</p>", "/html"),
        ("It is in the HTML.", "<p>{needed}</p>", "/body"),
        ("It is {needed}.", '<a href="https://pager.example.com/#{needed}">Here</a>', None),
        ("It is {needed}.", None, None),
    ],
)
def test_a_mail_says_it_in_both_parts(
    client: TestClient, admin: Person, event: str, body: str, html: str | None, pointer: str | None
) -> None:
    wording = {"body": body.replace("{needed}", NEEDED[event])}
    if html is not None:
        wording["html"] = html.replace("{needed}", NEEDED[event])
    answer = client.put(f"{TEMPLATES}/email/{event}", json=wording, headers=admin.headers)
    if pointer is None:
        assert (answer.status_code, answer.json()["body"]) == (200, wording["body"])
    else:
        assert [error["pointer"] for error in problem(answer, 422)["errors"]] == [pointer]


@pytest.mark.parametrize("event", NEEDED)
@pytest.mark.parametrize("wording", [{"body": "Nothing."}, {"html": "<p>Nothing.</p>"}])
def test_a_preview_says_that_it_is_missing(
    client: TestClient, admin: Person, event: str, wording: dict[str, Any]
) -> None:
    answer = client.post(f"{TEMPLATES}/email/{event}/preview", json=wording, headers=admin.headers)
    assert answer.status_code == 200
    assert NEEDED[event] in answer.json()["error"]


@pytest.mark.parametrize("channel", CHANNELS.names())
@pytest.mark.parametrize("event", [event for event in MessageKind if event not in NEEDED])
def test_other_messages_need_to_say_nothing_of_that_kind(
    client: TestClient, admin: Person, channel: str, event: MessageKind
) -> None:
    answer = client.put(f"{TEMPLATES}/{channel}/{event}", json={"body": "Mine"}, headers=admin.headers)
    assert answer.status_code == 200, answer.text
