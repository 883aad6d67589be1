"""Requests of machines and people that arrive at one moment share a transaction, and each is answered for itself."""

from collections.abc import Iterator, Sequence
from functools import partial

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.core.config import Settings
from app.core.errors import NotAuthenticated
from app.core.security import Bearer, Tokens
from app.db.session import Database
from app.models import User
from app.services.accounts import bearer_service
from app.utils.service_locator import Services
from tests.support.api import Api, together
from tests.support.contention import waiting
from tests.support.keys import made, sent_with
from tests.support.statements import statements
from tests.support.waiting import wait_until
from tests.support.world import PASSWORD, Person, real_connections

NEW = {"title": "Disk full", "severity": "high", "service": "db"}


def bearers_of(tokens: Tokens, headers: Sequence[dict[str, str]]) -> list[Bearer]:
    return [tokens.read(header["Authorization"].removeprefix("Bearer ")) for header in headers]


def asked(seen: list[str]) -> list[str]:
    """The statements without those that a test adds."""
    return [statement for statement in seen if "SAVEPOINT" not in statement]


def test_however_many_keys_and_logins_two_statements_find_out_who_they_are(
    client: TestClient, services: Services, user: Person, admin: Person, database: Database
) -> None:
    keys = [made(client, person, "read") for person in (user, admin) for _ in range(3)]
    user.on(client).call(f"DELETE /api-keys/{keys[0]['id']}")
    headers = [user.headers, admin.headers, *(sent_with(key["key"]) for key in keys)]
    bearers = bearers_of(services.auth.tokens, headers)
    with database.transaction() as session:
        bearer_service.authenticate_all(session, bearers)  # notes the use of each
    with database.transaction() as session, statements(database) as seen:
        found = bearer_service.authenticate_all(session, bearers)
    assert len(asked(seen)) == 2
    people = [found[bearer] for bearer in bearers]
    assert [person.id for person in people if isinstance(person, User)] == [
        user.id, admin.id, user.id, user.id, admin.id, admin.id, admin.id,
    ]  # fmt: skip
    assert isinstance(people[2], NotAuthenticated)
    assert [person.api_key is not None for person in people if isinstance(person, User)] == [False] * 2 + [True] * 5


def test_only_logins_or_only_keys_take_one_statement(
    client: TestClient, services: Services, user: Person, database: Database
) -> None:
    key = sent_with(made(client, user, "read")["key"])
    for headers in (user.headers, key):
        with database.transaction() as session:
            bearers = bearers_of(services.auth.tokens, [headers])
            bearer_service.authenticate_all(session, bearers)
            with statements(database) as seen:
                bearer_service.authenticate_all(session, bearers)
        assert len(asked(seen)) == 1


@pytest.fixture
def api(settings: Settings, own_database: Database) -> Iterator[Api]:
    with real_connections(settings, own_database) as api:
        yield api


def key_of(api: Api, *scopes: str) -> Api:
    password = {"current_password": PASSWORD} if "admin" in scopes else {}
    key = api.call("POST /api-keys", {"name": "a machine", "scopes": scopes, **password}, wants=201)
    return Api(api.client, sent_with(key["key"]))


@pytest.mark.slow
def test_machines_and_people_who_open_incidents_together_are_each_answered(api: Api) -> None:
    writer, reader = key_of(api, "incidents:write"), key_of(api, "read")
    callers = [api, writer, reader] * 8
    answers = together([partial(caller.send, "POST /incidents", NEW) for caller in callers])
    assert [answer.status_code for answer in answers] == [201, 201, 403] * 8
    said = {answer.json()["detail"] for answer in answers if answer.status_code == 403}
    assert said == {"The key lacks the scope incidents:write."}


@pytest.mark.slow
def test_a_person_and_their_key_acknowledge_together_and_the_person_takes_it(api: Api) -> None:
    machine = key_of(api, "incidents:write")
    ids = [api.open()["id"] for _ in range(6)]
    lines = [f"POST /incidents/{id_}/acknowledge" for id_ in ids]
    together([partial(machine.call, line) for line in lines])
    assert [api.incident(id_)["assigned_to"] for id_ in ids] == [None] * 6
    for id_ in ids:
        api.call(f"POST /incidents/{id_}/reopen")
    callers = [machine, api]
    together([partial(caller.call, line) for line in lines for caller in callers])
    assignees = [api.incident(id_)["assignments"] for id_ in ids]
    assert all(len(assigned) <= 1 for assigned in assignees)  # whoever came first moved it


@pytest.mark.slow
def test_the_use_of_a_key_is_noted_by_one_of_many_and_waits_for_nobody(api: Api, own_database: Database) -> None:
    machine = key_of(api, "read", "incidents:write")
    with own_database.transaction() as other:
        other.execute(text("SELECT FROM api_keys FOR UPDATE"))
        together([partial(machine.call, "GET /users/me")] * 4)
        machine.call("POST /incidents", NEW, wants=201)
        assert waiting(own_database) == 0
    assert api.call("GET /api-keys")[0]["last_used_at"] is None
    together([partial(machine.call, "POST /incidents", NEW, wants=201)] * 8)
    wait_until(lambda: api.call("GET /api-keys")[0]["last_used_at"] is not None, seconds=30)


@pytest.mark.slow
def test_a_key_that_is_made_while_the_account_is_closed_does_not_outlive_it(api: Api, own_database: Database) -> None:
    account = api.call("POST /users", {"email": "new@example.com", "password": PASSWORD}, wants=201)
    login = {"username": "new@example.com", "password": PASSWORD}
    pair = api.call("POST /auth/login/access-token", login)
    person = Api(api.client, {"Authorization": f"Bearer {pair['access_token']}"})
    make = partial(person.send, "POST /api-keys", {"name": "a machine", "scopes": ["read"]})
    close = partial(api.send, f"PUT /users/{account['id']}", {"is_active": False})
    made_key, closed = together([make, close])
    assert closed.status_code == 200
    if made_key.status_code == 201:
        api.call(f"PUT /users/{account['id']}", {"is_active": True})
        key = Api(api.client, sent_with(made_key.json()["key"]))
        assert key.send("GET /users/me").status_code == 401
