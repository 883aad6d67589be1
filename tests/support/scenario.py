"""The words of a scenario: what a policy says, what people do, what is on the record."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from fastapi.testclient import TestClient

from tests.support.world import Person

Opener = Callable[..., dict[str, Any]]
Tick = Callable[[], object]


def notify(**fields: Any) -> dict[str, Any]:
    return {"type": "notify", "target": "admins", **fields}


def steps(*delays: float, **action: Any) -> list[dict[str, Any]]:
    return [{"delay_minutes": delay, "actions": [notify(**action)]} for delay in delays]


def events(client: TestClient, incident: dict[str, Any], admin: Person) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin.on(client).call(f"GET /incidents/{incident['id']}/escalation-events")
    return found


def act(client: TestClient, incident: dict[str, Any], action: str, by: Person, **query: Any) -> dict[str, Any]:
    moved: dict[str, Any] = by.on(client).call(f"POST /incidents/{incident['id']}/{action}", params=query)
    return moved


def timeline(client: TestClient, incident: dict[str, Any], by: Person) -> list[str]:
    answer = by.on(client).send(f"GET /incidents/{incident['id']}/timeline")
    return [event["event_type"] for event in answer.json()]


def deliveries(client: TestClient, admin: Person) -> list[tuple[str, str, str]]:
    """Each notification, oldest first, as (channel, recipient, status)."""
    answer = admin.on(client).call("GET /notifications")
    return [(row["channel"], row["recipient"], row["status"]) for row in reversed(answer)]


def race(job: Callable[[], int], *, times: int) -> list[int]:
    """Run a job in several threads that begin together."""
    start = Barrier(times)

    def run() -> int:
        start.wait(30)
        return job()

    with ThreadPoolExecutor(times) as threads:
        return [future.result(120) for future in [threads.submit(run) for _ in range(times)]]
