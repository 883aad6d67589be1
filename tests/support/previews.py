"""The words of a scenario about previews: what a policy does, and what is announced of it."""

from datetime import datetime, timedelta
from typing import Any

from fastapi.testclient import TestClient

from tests.support.world import Person

PREVIEW = "/v1/escalation/preview"
Page = tuple[str, str | None, float]
Step = dict[str, Any]


def preview(client: TestClient, admin: Person, **body: Any) -> dict[str, Any]:
    answer = client.post(PREVIEW, json=body, headers=admin.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def step(delay: float, *actions: dict[str, Any]) -> Step:
    return {"delay_minutes": delay, "actions": list(actions)}


def assign(person: Person | int) -> dict[str, Any]:
    return {"type": "assign", "user_id": person if isinstance(person, int) else person.id}


def status(to: str) -> dict[str, Any]:
    return {"type": "change_status", "status": to}


def severity(to: str) -> dict[str, Any]:
    return {"type": "set_severity", "severity": to}


def announced(found: dict[str, Any]) -> set[Page]:
    """Every page that a preview speaks of: who, by which channel, in how many minutes."""
    began_at, pages = datetime.fromisoformat(found["at"]), set()
    pages |= {(p["recipient"], p["channel"], 0.0) for p in found["then_paged"] if p["skipped"] is None}
    for policy in found["policies"]:
        fired = [one for one in policy["steps"] if one["due_at"] is not None]
        for one in fired:
            after = (datetime.fromisoformat(one["due_at"]) - began_at) / timedelta(minutes=1)
            people = [person for action in one["actions"] for person in action["people"]]
            pages |= {(p["recipient"], p["channel"], after) for p in people if p["skipped"] is None}
        if policy["then_paged_at"] is not None:
            after = (datetime.fromisoformat(policy["then_paged_at"]) - began_at) / timedelta(minutes=1)
            pages |= {(p["recipient"], p["channel"], after) for p in policy["then_paged"] if p["skipped"] is None}
    return pages


def skipped(found: dict[str, Any]) -> set[tuple[str, str, str]]:
    people = [p for policy in found["policies"] for one in policy["steps"] for a in one["actions"] for p in a["people"]]
    return {(p["recipient"], p["channel"], p["skipped"]) for p in people if p["skipped"] is not None}
