"""Slack and Teams say what an administrator words, and what comes with every message stays beside it."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.channel import CHANNELS
from app.core.config import Settings
from app.db.session import Database
from app.integrations import connections
from app.integrations.channels.hook import HookSettings
from app.utils.service_locator import Services, build_services
from tests.support.http_server import HttpServer, http_server
from tests.support.preferences import post, put
from tests.support.scenario import Opener, Tick, act, steps
from tests.support.world import Outbox, Person

TEMPLATES = "/notification-templates"
EVIL = "<!channel> & <https://evil.example|here> [x](https://evil.example) <b>"


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server
    connections.pools().clear()


@pytest.fixture(params=["slack", "teams"])
def channel(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def services(settings: Settings, database: Database, outbox: Outbox, channel: str) -> Services:
    """With a channel that may call the test's server."""
    own = HookSettings(_env_file=None, webhook_allow_private_addresses=True)
    chat = CHANNELS[channel].set_up(settings, own)
    built = build_services(settings, database, channels={outbox.name: outbox, channel: chat})
    return replace(built, paging=replace(built.paging, channel_settings={channel: own}))


@pytest.fixture
def word(client: TestClient, admin: Person, channel: str) -> Callable[[str, str], None]:
    """Words one kind of message as the administrator."""

    def run(event: str, body: str) -> None:
        admin.on(client).call(f"PUT {TEMPLATES}/{channel}/{event}", {"body": body})

    return run


@pytest.fixture
def reached(client: TestClient, admin: Person, add_policy: Opener, server: HttpServer, channel: str) -> Person:
    """The administrator, who is paged there."""
    put(client, admin, channel, address=f"{server.url}/hook")
    add_policy(steps=steps(0, channels=[channel], message="Look at it."))
    return admin


def texts(message: dict[str, Any]) -> list[str]:
    """What a message says below its headline and beside its fields."""
    if "blocks" in message:
        return [block["text"]["text"] for block in message["blocks"][1:] if "text" in block]
    [attachment] = message["attachments"]
    body = attachment["content"]["body"][1:]
    assert {element["type"] for element in body} == {"RichTextBlock"}
    return [run["text"] for element in body for run in element["inlines"]]


def links(message: dict[str, Any]) -> list[str]:
    """Where the buttons of a message lead."""
    if "blocks" in message:
        return [e["url"] for block in message["blocks"] if block["type"] == "actions" for e in block["elements"]]
    return [action["url"] for action in message["attachments"][0]["content"]["actions"]]


@pytest.mark.parametrize("kind", ["page", "manual_page"])
def test_a_page_in_an_administrators_words_keeps_its_fields_and_button(
    client: TestClient, reached: Person, word: Callable[[str, str], None],
    open_incident: Opener, tick: Tick, server: HttpServer, kind: str,
) -> None:  # fmt: skip
    word("page", "Runbook for {{ incident.service | upper }}:\n{{ note }}")
    incident = open_incident(service="database", title="Disk is full")
    if kind == "manual_page":
        act(client, incident, "escalate", reached)
    tick()
    said = server.requests[-1].json()
    assert texts(said)[0] == "Runbook for DATABASE:\nLook at it."
    assert "Disk is full" not in "".join(texts(said))
    assert f"#{incident['id']}" in str(said)
    assert [link for link in links(said) if "/p/" in link]


def test_the_page_that_is_shipped_says_note_title_and_description_once(
    reached: Person, open_incident: Opener, tick: Tick, server: HttpServer
) -> None:
    open_incident(title="Disk is full", description="No space\tleft.")
    tick()
    said = "\n\n".join(texts(server.requests[0].json()))
    assert said.startswith("Look at it.\n\nDisk is full\n\nNo space left.")
    assert said.count("Disk is full") == 1


@pytest.mark.parametrize("wording", [None, "Good luck with {{ count }} of them!"])
def test_a_bundle_says_its_body_and_names_every_incident_once(
    reached: Person, word: Callable[[str, str], None], open_incident: Opener, tick: Tick, server: HttpServer,
    wording: str | None,
) -> None:  # fmt: skip
    if wording:
        word("bundle", wording)
    incidents = [open_incident(title=f"Disk {number} is full") for number in range(3)]
    tick()
    [request] = server.requests
    body, *lines = texts(request.json())
    assert body == ("Good luck with 3 of them!" if wording else "Acknowledge each of these incidents:")
    assert all("\n".join(lines).count(f"#{incident['id']} ") == 1 for incident in incidents)
    assert request.body.count(b"/p/") == 3


def test_a_test_message_and_a_code_say_what_an_administrator_words(
    client: TestClient, reached: Person, word: Callable[[str, str], None], tick: Tick, server: HttpServer, channel: str
) -> None:
    word("test", "All is well with {{ channel | upper }}.")
    word("verification", "Type the code: {{ code }}")
    for what in ("test", "verify"):
        assert post(client, reached, what, channel=channel).status_code < 300
        tick()
    first, second = (texts(request.json()) for request in server.requests)
    assert first == [f"All is well with {channel.upper()}."]
    assert second[0].startswith("Type the code: ")


def test_an_incident_adds_no_markup_to_an_administrators_wording(
    reached: Person, word: Callable[[str, str], None], open_incident: Opener, tick: Tick, server: HttpServer,
    channel: str,
) -> None:  # fmt: skip
    word("page", "Look: {{ incident.title }}\n\n{{ incident.description }}")
    open_incident(title=EVIL, description=f"\n\n{EVIL}")
    tick()
    said = texts(server.requests[0].json())  # in a text of Teams nothing is markup
    shown = EVIL.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") if channel == "slack" else EVIL
    assert "\n".join(said).count(shown) == 2
    assert channel == "teams" or "<" not in "".join(said)
