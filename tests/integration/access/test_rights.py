"""Who may do what: every route is requested by every kind of requester, and answers as docs/access.md says."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import Connection

from app.core.config import ChannelSettings, Settings
from app.core.security import Claims
from app.db.session import Database
from app.integrations.channels.push.channel import PushSettings
from app.integrations.channels.push.vapid import new_private_key
from app.utils.service_locator import Services, build_services
from app.worker import Jobs
from tests.support.keys import made, sent_with
from tests.support.operations import OPERATIONS, Operation, sample
from tests.support.rights import COLUMNS, KEYS, PEOPLE, Row, outcome_of, rows
from tests.support.scenario import Opener, notify
from tests.support.world import PASSWORD, Outbox, Person

ROWS: list[Row] = rows()
ROUTES = {str(operation): operation for operation in OPERATIONS}
# These want a code, a token, a signature or an unconfirmed address, which nobody has here. Others succeed for somebody.
OUT_OF_REACH = {
    "POST /v1/alerts/elastic",
    "POST /v1/auth/reset-password",
    "POST /v1/notification-preferences/me/{channel}/confirm",
    "POST /v1/notifications/callbacks/twilio",
    "POST /v1/users/me/email/confirm",
    "POST /v1/users/me/email/verify",
}
SignUp = Callable[..., Person]


@dataclass(frozen=True)
class World:
    """Everybody in the columns of the table, and what they ask for. The `bystander` is in none of them."""

    headers: dict[str, dict[str, str]]
    bystander: Person
    assignee: Person
    ids: dict[str, Any]
    session_ids: dict[str, str]

    def request(self, client: TestClient, operation: Operation, column: str) -> int:
        """The status of a request with a good body for what exists."""
        given = {**self.ids, "session_id": self.session_ids.get(column, self.session_ids["admin"])}
        if "/assign/" in operation.path:
            given["user_id"] = self.assignee.id
        named = {p["name"] for p in operation.parameters("path")} & given.keys()
        url = operation.url(**{name: given[name] for name in named})
        body = self._body(str(operation), sample(operation.schema) if operation.reads_strictly else None)
        answer = client.request(operation.method, url, json=body, headers=self.headers[column])
        return answer.status_code

    def _body(self, route: str, usual: Any) -> Any:
        credentials = {"username": self.bystander.email, "password": PASSWORD}
        spends = {"refresh_token": self.bystander.refresh_token}
        special: dict[str, Any] = {
            "POST /v1/auth/login/access-token": credentials,
            "POST /v1/auth/login/refresh-token": spends,
            "POST /v1/auth/logout": spends,
            "POST /v1/incidents/{incident_id}/assign": {"user_id": self.bystander.id},
        }
        if isinstance(usual, dict) and "incident_id" in usual:
            usual = {**usual, "incident_id": self.ids["incident_id"]}
        return special.get(route, usual)


@pytest.fixture
def services(
    settings: Settings, database: Database, outbox: Outbox, default_channel_settings: dict[str, ChannelSettings]
) -> Services:
    """An installation where nothing is open because it is not set up."""
    settings = settings.model_copy(
        update={"elastic_webhook_token": SecretStr("of a webhook"), "twilio_auth_token": SecretStr("of Twilio")}
    )
    push = PushSettings(
        _env_file=None,
        web_push_private_key=SecretStr(new_private_key()),
        web_push_contact="mailto:operator@example.com",
    )
    own = {**default_channel_settings, "push": push}
    return build_services(settings, database, channels={outbox.name: outbox}, channel_settings=own)


@pytest.fixture
def world(
    client: TestClient, services: Services, admin: Person, sign_up: SignUp, add_policy: Opener, jobs: Jobs
) -> World:
    people = {name: sign_up(f"{name}@example.com") for name in ("stranger", "paged", "assignee", "creator")}
    people |= {"viewer": sign_up("viewer@example.com", role="viewer"), "admin": admin}
    bystander = sign_up("bystander@example.com")
    policy = add_policy(steps=[{"delay_minutes": 0, "actions": [notify(target=people["paged"].id)]}])
    incident = people["creator"].on(client).open()
    admin.on(client).call(f"POST /incidents/{incident['id']}/assign", {"user_id": people["assignee"].id})
    jobs.plan()
    theirs = made(client, bystander, "read")
    keys = {f"key with {scope}": sent_with(made(client, admin, scope)["key"]) for scope in KEYS}
    ids = {"incident_id": incident["id"], "policy_id": policy["id"], "api_key_id": theirs["id"]}
    ids |= {"user_id": bystander.id, "channel": "email"}
    headers = {name: person.headers for name, person in people.items()}
    sessions = {name: _session_of(services, person) for name, person in people.items()}
    return World({"anonymous": {}, **headers, **keys}, bystander, people["assignee"], ids, sessions)


def _session_of(services: Services, person: Person) -> str:
    claims = services.auth.tokens.read(person.headers["Authorization"].removeprefix("Bearer "))
    assert isinstance(claims, Claims)
    return str(claims.session_id)


@contextmanager
def undone(database: Database) -> Iterator[None]:
    """What is changed within is undone, so that everybody finds the same world."""
    assert isinstance(database.bind, Connection)
    nested = database.bind.begin_nested()
    yield
    nested.rollback()


def test_the_table_has_every_route_once_and_no_other() -> None:
    """A new route fails here until docs/access.md says who may call it."""
    assert [row.route for row in ROWS] == list(ROUTES)


def test_the_table_knows_these_requesters_and_answers() -> None:
    assert all(tuple(row.rights) == COLUMNS for row in ROWS)
    assert {right for row in ROWS for right in row.rights.values()} == {"yes", "401", "403", "404"}
    assert len(COLUMNS) == len(PEOPLE) + len(KEYS)


@pytest.mark.slow
def test_every_route_answers_everybody_as_the_table_says(client: TestClient, database: Database, world: World) -> None:
    wrong, succeeded = [], set()
    for row in ROWS:
        for column in COLUMNS:
            with undone(database):
                status = world.request(client, ROUTES[row.route], column)
            if outcome_of(status) != row.rights[column]:
                wrong.append(f"{row.route} as {column}: {status}, not {row.rights[column]}")
            succeeded |= {row.route} if status < 300 else set()
    assert wrong == []
    assert {row.route for row in ROWS} - succeeded == OUT_OF_REACH
