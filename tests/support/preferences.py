"""The words of a scenario about how people want to be reached."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

from app.core.channel import Outcome
from app.core.vocabulary import AttemptOutcome
from app.crud.clock import now
from tests.support.scenario import Tick
from tests.support.world import Clock, Outbox, Person

ME = "/v1/notification-preferences/me"
GONE = Outcome(AttemptOutcome.DEAD, status_code=404, error="unknown number", is_address_gone=True)
DEAD = Outcome(AttemptOutcome.DEAD, status_code=400, error="refused")


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


def codes(channel: Outbox) -> list[str]:
    """Every code that came by a channel."""
    return [re.findall(r"\b[0-9]{6}\b", message.body)[0] for message in channel.sent]


def receive_code(client: TestClient, by: Person, tick: Tick, sms: Outbox) -> str:
    """Ask for a code, and wait for it."""
    answer = post(client, by, "verify")
    assert answer.status_code == 200, answer.text
    tick()
    return codes(sms)[-1]


def at_noon(clock: Clock) -> datetime:
    """Move the service's time to a noon in UTC."""
    with clock.database.transaction() as session:
        at = now(session).astimezone(UTC)
    noon = at.replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)
    clock.advance(seconds=(noon - at).total_seconds())
    return noon
