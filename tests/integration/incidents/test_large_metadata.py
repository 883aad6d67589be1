"""How large metadata may be, and how much of a large change the timeline keeps."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.db.session import Database
from app.schemas.types import MAX_METADATA_BYTES
from app.services.timeline_service import MAX_DATA_BYTES
from tests.support.answers import problem
from tests.support.api import Api
from tests.support.world import Person

NEW = {"title": "Disk full", "severity": "low", "service": "db"}
SAID = "metadata must have at most 65536 bytes as compact UTF-8 JSON."


@pytest.fixture
def api(client: TestClient, user: Person) -> Api:
    return user.on(client)


@pytest.fixture
def old(api: Api, database: Database) -> dict[str, Any]:
    """An incident from before, with 700 kB of metadata."""
    incident = api.open()
    with database.transaction() as session:
        statement = (
            "UPDATE incidents SET metadata = jsonb_build_object('b', repeat('x', 700000), 'a', 1) WHERE id = :id"
        )
        session.execute(text(statement), {"id": incident["id"]})
    return api.incident(incident["id"])


def of_size(size: int, character: str = "x") -> dict[str, Any]:
    """Metadata of a size in bytes as compact UTF-8 JSON."""
    room = size - len('{"text":""}')
    filled = character * (room // len(character.encode()))
    return {"text": filled + "x" * (room - len(filled.encode()))}


@pytest.mark.parametrize("character", ["x", "ü", "🔥"])
def test_metadata_has_at_most_64_kib_as_compact_utf_8(api: Api, character: str) -> None:
    fits, over = of_size(MAX_METADATA_BYTES, character), of_size(MAX_METADATA_BYTES + 1, character)
    assert len(json.dumps(fits, ensure_ascii=False, separators=(",", ":")).encode()) == 65_536
    made = api.open(metadata=fits)
    assert made["metadata"] == fits
    assert problem(api.send("POST /incidents", {**NEW, "metadata": over}), 422, pointer="/metadata")["detail"] == SAID
    for method in ("PUT", "PATCH"):
        api.call(f"{method} /incidents/{made['id']}", {"metadata": {**fits}})
        refused = problem(api.send(f"{method} /incidents/{made['id']}", {"metadata": over}), 422, pointer="/metadata")
        assert refused["detail"] == SAID


def test_numbers_count_as_they_are_written_out(api: Api) -> None:
    written = [1e300] * 300  # 301 digits each
    problem(api.send("POST /incidents", {**NEW, "metadata": {"n": written}}), 422, pointer="/metadata")


def test_larger_metadata_from_before_survives_get_edit_put(api: Api, old: dict[str, Any]) -> None:
    changed = api.call(f"PUT /incidents/{old['id']}", {**old, "title": "Disk nearly full"})
    assert changed["title"] == "Disk nearly full"
    assert changed["metadata"] == old["metadata"]


def test_larger_metadata_from_before_only_changes_to_what_fits(api: Api, old: dict[str, Any]) -> None:
    path = f"PUT /incidents/{old['id']}"
    problem(api.send(path, {"metadata": {**old["metadata"], "a": 2}}), 422, pointer="/metadata")
    assert api.call(path, {"metadata": {"a": 2}})["metadata"] == {"a": 2}


def test_the_timeline_keeps_a_bounded_copy_of_a_large_change(api: Api, old: dict[str, Any]) -> None:
    api.call(f"PUT /incidents/{old['id']}", {"metadata": {"a": 2}, "severity": "high"})
    [entry, *_] = [e for e in api.timeline(old["id"]) if e["event_type"] == "updated"]
    kept = entry["metadata"]
    assert len(json.dumps(kept, ensure_ascii=False).encode()) <= MAX_DATA_BYTES * 1.01
    assert kept["_truncated"] is True
    assert kept["changes"]["severity"] == {"from": "medium", "to": "high"}
    assert kept["changes"]["metadata"]["to"] == {"a": 2}
    assert kept["changes"]["metadata"]["from"]["b"].endswith("…")


def test_the_timeline_keeps_a_small_change_whole(api: Api) -> None:
    incident = api.open(description="x" * 20_000)
    api.call(f"PUT /incidents/{incident['id']}", {"description": "y" * 20_000})
    [entry, *_] = [e for e in api.timeline(incident["id"]) if e["event_type"] == "updated"]
    assert entry["metadata"] == {"changes": {"description": {"from": "x" * 20_000, "to": "y" * 20_000}}}


def test_the_longest_first_description_of_an_alert_is_kept_whole(api: Api) -> None:
    answer = api.alert(id="a", name="n", message="\x01" * 9_999 + "x")
    [opened] = [e for e in api.timeline(answer["incident_id"]) if e["event_type"] == "created"]
    assert opened["metadata"]["first_description"] == api.incident(answer["incident_id"])["description"]
    assert "_truncated" not in opened["metadata"]


def test_conditions_and_a_made_up_incident_are_bounded_too(client: TestClient, admin: Person) -> None:
    api = admin.on(client)
    policy = {"name": "A", "actions": [{"type": "notify"}], "conditions": {"service": ["x" * 100] * 700}}
    problem(api.send("POST /escalation/policies", policy), 422, pointer="/conditions")
    incident = {"severity": "low", "service": "db", "metadata": of_size(MAX_METADATA_BYTES + 1)}
    problem(api.send("POST /escalation/preview", {"incident": incident}), 422, pointer="/incident/metadata")
