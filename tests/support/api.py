"""The API as one person uses it. Each call says which status it wants."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier
from typing import Any, TypeVar

from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import text

from app.db.session import Database

Result = TypeVar("Result")
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Api:
    """Calls below /v1. A line is the method and the path: `GET /incidents`."""

    client: TestClient
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, line: str, body: Any = None, **options: Any) -> Response:
        method, path = line.split(" ", 1)
        headers = {**self.headers, **options.pop("headers", {})}
        return self.client.request(method, f"/v1{path}", json=body, headers=headers, **options)

    def call(self, line: str, body: Any = None, *, wants: int = 200, **options: Any) -> Any:
        answer = self.send(line, body, **options)
        assert answer.status_code == wants, f"{line}: {answer.status_code}, not {wants}: {answer.text[:500]}"
        return answer.json() if answer.content else None

    def open(self, **fields: Any) -> dict[str, Any]:
        """Open an incident."""
        body = {"title": "Disk full", "severity": "medium", "service": "db", **fields}
        incident: dict[str, Any] = self.call("POST /incidents", body, wants=201)
        return incident

    def alert(self, **body: Any) -> dict[str, Any]:
        """Post an alert as Elastic does."""
        answer: dict[str, Any] = self.call("POST /alerts/elastic", body, wants=201)
        return answer

    def incident(self, incident_id: int) -> dict[str, Any]:
        found: dict[str, Any] = self.call(f"GET /incidents/{incident_id}")
        return found

    def timeline(self, incident_id: int) -> list[dict[str, Any]]:
        """The record, without the remark that no policy matches: few tests have a policy."""
        return without_remark(self.call(f"GET /incidents/{incident_id}/timeline"))


def without_remark(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries of a timeline but for the one that no policy matches the incident."""
    return [event for event in events if event["event_type"] != "no_policy_matched"]


def together(jobs: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run jobs in threads that begin at one moment. The results are in the jobs' order."""
    start = Barrier(len(jobs))

    def run(job: Callable[[], Result]) -> Result:
        start.wait(60)
        return job()

    with ThreadPoolExecutor(len(jobs)) as threads:
        return [future.result(120) for future in [threads.submit(run, job) for job in jobs]]


def wait_until_somebody_waits_for_a_lock(database: Database, seconds: float = 30) -> None:
    """Return as soon as a connection to this database waits for what another one holds."""
    waiting = text(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN (SELECT pid FROM pg_stat_activity "
        "WHERE datname = current_database())"
    )
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with database.transaction() as session:
            if session.execute(waiting).scalar_one():
                return
        time.sleep(0.01)
    raise TimeoutError("nobody waits for a lock")
