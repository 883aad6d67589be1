"""Wherever an answer has a user's id, it has the person's name beside it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.db.session import Database
from tests.support.answers import problem
from tests.support.api import without_remark
from tests.support.operations import DOCUMENT, OPERATIONS
from tests.support.scenario import Opener, Tick
from tests.support.statements import statements
from tests.support.world import Person

SignUp = Callable[..., Person]
IDS = {"created_by", "updated_by", "assigned_to", "user_id", "actor_id", "recipient_id", "set_by"}


def _names(field: str) -> set[str]:
    """What the name beside an id may be called."""
    return {f"{field}_name", f"{field.removesuffix('_id')}_name", "name"}


def _schemas(part: Any) -> Iterator[str]:
    """The names of all schemas that a part of the document refers to."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref":
                name = value.rpartition("/")[2]
                yield name
                yield from _schemas(DOCUMENT["components"]["schemas"][name])
            else:
                yield from _schemas(value)
    elif isinstance(part, list):
        for item in part:
            yield from _schemas(item)


ANSWERS = sorted(
    {
        name
        for operation in OPERATIONS
        for status, response in operation.spec["responses"].items()
        if status.startswith("2")
        for name in _schemas(response)
    }
)


@pytest.mark.parametrize("schema", ANSWERS)
def test_every_id_of_a_user_in_an_answer_has_a_name_beside_it(schema: str) -> None:
    fields = DOCUMENT["components"]["schemas"][schema].get("properties", {})
    if schema in {"AssignAction", "Step"}:  # a step is answered as it is stored, so that it can be sent back
        return
    for field in IDS & fields.keys():
        assert _names(field) & fields.keys(), f"{schema}.{field}"


@pytest.fixture
def ada(sign_up: SignUp) -> Person:
    return sign_up("ada@example.com", full_name="Ada Lovelace")


@pytest.fixture
def brian(sign_up: SignUp) -> Person:
    """Somebody without a full name."""
    return sign_up("brian.k@example.com")


def test_an_incident_names_who_opened_it_and_who_owns_it(client: TestClient, ada: Person, brian: Person) -> None:
    opened = ada.on(client).open(assigned_to=brian.id)
    assert (opened["created_by_name"], opened["assigned_to_name"]) == ("Ada Lovelace", "brian.k")
    for read in (ada.on(client).incident(opened["id"]), ada.on(client).call("GET /incidents")[0]):
        assert (read["created_by_name"], read["assigned_to_name"]) == ("Ada Lovelace", "brian.k")


def test_the_record_of_an_incident_names_people(client: TestClient, ada: Person, brian: Person) -> None:
    incident = ada.on(client).open()
    path = f"/incidents/{incident['id']}"
    assert brian.on(client).call(f"POST {path}/assign", {"user_id": ada.id})["user_name"] == "Ada Lovelace"
    assert brian.on(client).call(f"POST {path}/comments", {"content": "Hm."})["user_name"] == "brian.k"
    read = ada.on(client).incident(incident["id"])
    assert [one["user_name"] for one in read["assignments"]] == ["Ada Lovelace"]
    assert [one["user_name"] for one in read["comments"]] == ["brian.k"]
    record = without_remark(read["timeline_events"])
    assert [one["user_name"] for one in record] == ["brian.k", "brian.k", "Ada Lovelace"]


def test_the_answer_of_a_change_names_the_new_owner(client: TestClient, ada: Person, brian: Person) -> None:
    incident = ada.on(client).open(assigned_to=ada.id)
    changed = ada.on(client).call(f"PUT /incidents/{incident['id']}", {"assigned_to": brian.id})
    assert changed["assigned_to_name"] == "brian.k"
    entry = ada.on(client).timeline(incident["id"])[0]
    assert entry["description"] == "Changed assigned_to. The owner is now brian.k."
    assert entry["metadata"]["changes"]["assigned_to"] == {
        "from": ada.id, "from_name": "Ada Lovelace", "to": brian.id, "to_name": "brian.k"
    }  # fmt: skip


def test_an_incident_with_names_can_be_sent_back(client: TestClient, ada: Person) -> None:
    incident = ada.on(client).open(assigned_to=ada.id)
    read = ada.on(client).incident(incident["id"])
    assert ada.on(client).call(f"PUT /incidents/{incident['id']}", read)["assigned_to_name"] == "Ada Lovelace"


def test_a_deleted_user_keeps_the_name_in_the_record(client: TestClient, ada: Person, admin: Person) -> None:
    incident = ada.on(client).open()
    admin.on(client).call(f"DELETE /users/{ada.id}")
    assert admin.on(client).incident(incident["id"])["created_by_name"] == "Ada Lovelace"


def test_the_first_answer_of_an_idempotency_key_has_names_too(client: TestClient, ada: Person) -> None:
    body = {"title": "Disk full", "severity": "low", "service": "db"}
    for _ in range(2):
        answer = ada.on(client).send("POST /incidents", body, headers={"Idempotency-Key": "one"})
        assert answer.json()["created_by_name"] == "Ada Lovelace"


def test_assignments_are_told_by_name(client: TestClient, ada: Person, brian: Person) -> None:
    incident = brian.on(client).open()
    path = f"/incidents/{incident['id']}"
    brian.on(client).call(f"POST {path}/assign", {"user_id": ada.id, "role": "lead"})
    brian.on(client).call(f"DELETE {path}/assign/{ada.id}")
    ended, begun, _ = brian.on(client).timeline(incident["id"])
    assert begun["description"] == "Assigned Ada Lovelace as lead."
    assert begun["metadata"]["user_name_assigned"] == "Ada Lovelace"
    assert ended["description"] == "Ada Lovelace is no longer assigned."


def test_pages_are_told_by_name_channel_and_policy(
    client: TestClient, ada: Person, add_policy: Opener, open_incident: Opener, tick: Tick
) -> None:
    add_policy(name="Night", steps=[{"delay_minutes": 0, "actions": [{"type": "notify", "target": ada.id}]}])
    incident = open_incident()
    tick()
    said = [event["description"] for event in ada.on(client).timeline(incident["id"])]
    assert "Step 1 of policy “Night” fired: paging Ada Lovelace by e-mail." in said
    assert "Paged Ada Lovelace by e-mail." in said


def test_an_escalation_event_names_who_was_paged(
    client: TestClient, ada: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick
) -> None:
    add_policy(steps=[{"delay_minutes": 0, "actions": [{"type": "notify", "target": ada.id}]}])
    incident = open_incident()
    tick()
    [event] = admin.on(client).call(f"GET /incidents/{incident['id']}/escalation-events")
    [notified] = event["metadata"]["notified"]
    assert (notified["recipient"], notified["recipient_name"]) == (f"user:{ada.id}", "Ada Lovelace")
    [delivery] = ada.on(client).call("GET /notifications")
    assert delivery["user_name"] == "Ada Lovelace"


def test_why_says_by_name_who_was_paged(
    client: TestClient, ada: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick
) -> None:
    add_policy(steps=[{"delay_minutes": 0, "actions": [{"type": "notify", "target": ada.id}]}])
    incident = open_incident()
    tick()
    people = admin.on(client).call(f"GET /incidents/{incident['id']}/why")["people"]
    [reasons] = [person["reasons"] for person in people if person["user_id"] == ada.id]
    assert reasons[0]["sentence"].startswith("Paged Ada Lovelace by e-mail: accepted at ")


def test_the_directory_finds_colleagues_by_name(client: TestClient, ada: Person, brian: Person) -> None:
    find = brian.on(client).call
    assert find("GET /users/directory?q=lovelace") == [{"id": ada.id, "name": "Ada Lovelace"}]
    assert find("GET /users/directory?q=LOVE ada") == [{"id": ada.id, "name": "Ada Lovelace"}]
    assert find("GET /users/directory?q=brian") == [{"id": brian.id, "name": "brian.k"}]
    assert [one["name"] for one in find("GET /users/directory")] == ["Ada Lovelace", "brian.k"]


def test_the_directory_tells_no_addresses(client: TestClient, ada: Person) -> None:
    assert ada.on(client).call("GET /users/directory?q=example.com") == []


def test_the_directory_hides_who_left(client: TestClient, ada: Person, brian: Person, admin: Person) -> None:
    admin.on(client).call(f"PUT /users/{ada.id}", {"is_active": False})
    assert brian.on(client).call("GET /users/directory?q=ada") == []


def test_the_directory_is_paged(client: TestClient, ada: Person, brian: Person) -> None:
    answer = ada.on(client).send("GET /users/directory?limit=1")
    assert [one["id"] for one in answer.json()] == [ada.id]
    following = client.get(answer.links["next"]["url"], headers=ada.headers)
    assert [one["id"] for one in following.json()] == [brian.id]


def test_a_search_of_the_directory_has_a_limit(client: TestClient, ada: Person) -> None:
    problem(ada.on(client).send("GET /users/directory?q=a b c d e f g"), 422, pointer="q")
    problem(client.get("/v1/users/directory"), 401)


def test_names_cost_one_statement_however_many_people_there_are(
    client: TestClient, database: Database, sign_up: SignUp, user: Person
) -> None:
    def count() -> int:
        with statements(database) as seen:
            user.on(client).call("GET /incidents")
        return len(seen)

    for _ in range(2):
        sign_up().on(client).open(assigned_to=user.id)
    of_two = count()
    for _ in range(5):
        sign_up().on(client).open(assigned_to=user.id)
    assert count() == of_two
