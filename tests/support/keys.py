"""API keys: made as people make them, and used as machines do."""

from typing import Any

from fastapi.testclient import TestClient

from tests.support.api import Api
from tests.support.world import PASSWORD, Person

SCOPES = ("read", "incidents:write", "policies:write", "admin")


def made(client: TestClient, by: Person, *scopes: str, **fields: Any) -> dict[str, Any]:
    """A new key of a person, as it is answered."""
    password = {"current_password": PASSWORD} if "admin" in scopes else {}
    body = {"name": "a machine", "scopes": list(scopes), **password, **fields}
    key: dict[str, Any] = by.on(client).call("POST /api-keys", body, wants=201)
    return key


def sent_with(key: str) -> dict[str, str]:
    """The headers of a request with a key."""
    return {"Authorization": f"Bearer {key}"}


def machine(client: TestClient, by: Person, *scopes: str, **fields: Any) -> Api:
    """The API as a machine uses it that has a new key of a person."""
    return Api(client, sent_with(made(client, by, *scopes, **fields)["key"]))
