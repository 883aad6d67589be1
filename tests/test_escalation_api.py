"""Escalation policies and events through the API."""

from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient

from tests.support.world import Clock, Outbox, Person

NOTIFY_ADMINS = {"type": "notify", "target": "admins", "message": "Please look."}


def test_acknowledging_stops_the_escalation(
    client: TestClient,
    user: Person,
    add_policy: Callable[..., dict[str, Any]],
    open_incident: Callable[..., dict[str, Any]],
    tick: Callable[[], None],
    clock: Clock,
    outbox: Outbox,
) -> None:
    add_policy(steps=[{"delay_minutes": m, "actions": [NOTIFY_ADMINS]} for m in (5, 10)])
    incident = open_incident()
    tick()
    assert outbox.sent == []
    clock.advance(minutes=5)
    tick()
    assert [envelope.address for envelope in outbox.sent] == ["admin@example.com"]
    client.post(f"/v1/incidents/{incident['id']}/acknowledge", headers=user.headers)
    clock.advance(minutes=10)
    tick()
    assert len(outbox.pages) == 1
