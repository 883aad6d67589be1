"""The words of a scenario about how people want to be reached."""

from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

from tests.conftest import Person

ME = "/v1/notification-preferences/me"


def post(client: TestClient, by: Person, what: str, body: Any = None, *, channel: str = "sms") -> Response:
    return client.post(f"{ME}/{channel}/{what}", json=body, headers=by.headers)


def put(client: TestClient, by: Person, channel: str = "sms", *, whose: int | str = "me", **change: Any) -> Any:
    address = f"/v1/notification-preferences/{whose}/{channel}"
    answer = client.put(address, json=change, headers=by.headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def preference(client: TestClient, by: Person, channel: str = "sms") -> dict[str, Any]:
    rows = client.get(ME, headers=by.headers).json()
    [found] = [row for row in rows if row["channel"] == channel]
    return dict(found)
