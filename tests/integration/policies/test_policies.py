"""Keeping escalation policies."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.config import Settings
from app.db.session import Database
from tests.support.answers import problem
from tests.support.api import Api, together
from tests.support.scenario import Opener, steps
from tests.support.statements import statements
from tests.support.world import Clock, Person, real_connections

POLICIES = "/escalation/policies"
NOTIFY: dict[str, Any] = {"type": "notify"}
STEPS = [{"delay_minutes": 0, "actions": [NOTIFY]}]
STORED_NOTIFY = {"type": "notify", "target": "assignees"}
DESIGNS_EXAMPLE: dict[str, Any] = {
    "name": "Critical Database Issues",
    "description": "Escalation path for critical database incidents",
    "conditions": {"severity": ["critical", "high"], "service": ["database", "primary-db"]},
    "steps": [
        {
            "delay_minutes": 5,
            "actions": [
                {
                    "type": "notify",
                    "target": "assignees",
                    "channels": ["email", "sms"],
                    "message": "This incident requires your attention.",
                }
            ],
        }
    ],
}
RICH: dict[str, Any] = {
    "name": "Rich",
    "description": "All there is",
    "conditions": {
        "severity": "high",
        "service": ["db-*"],
        "source": "elastic",
        "assigned": False,
        "metadata.a.b": [1, "x"],
    },
    "steps": [
        {"delay_minutes": 0, "actions": [{"type": "notify", "target": ["admins", "x@example.com"]}]},
        {"delay_minutes": 2.5, "actions": [{"type": "change_status", "status": "acknowledged"}]},
        {"delay_minutes": 2.5, "actions": [{"type": "status_change", "status": "open"}]},
    ],
    "is_active": False,
    "repeat": 9,
}


@pytest.fixture
def api(client: TestClient, admin: Person) -> Api:
    return Api(client, admin.headers)


def create(api: Api, **fields: Any) -> dict[str, Any]:
    policy: dict[str, Any] = api.call(f"POST {POLICIES}", {"name": "Policy", "steps": STEPS, **fields}, wants=201)
    return policy


def test_the_design_documents_example_is_kept_as_it_is(api: Api) -> None:
    policy = create(api, **DESIGNS_EXAMPLE)
    assert {name: policy[name] for name in DESIGNS_EXAMPLE} == DESIGNS_EXAMPLE
    assert (policy["is_active"], policy["repeat"], policy["version"]) == (True, 0, 1)
    assert policy["created_at"] == policy["updated_at"]
    assert api.call(f"GET {POLICIES}/{policy['id']}") == policy
    assert api.call(f"GET {POLICIES}") == [policy]


def test_whatever_a_policy_can_say_is_kept(api: Api) -> None:
    policy = create(api, **RICH)
    assert {name: policy[name] for name in RICH} == RICH


def test_actions_alone_are_short_for_one_step_at_once(api: Api) -> None:
    policy = api.call(f"POST {POLICIES}", {"name": "Short", "actions": [NOTIFY, NOTIFY]}, wants=201)
    assert policy["steps"] == [{"delay_minutes": 0, "actions": [STORED_NOTIFY, STORED_NOTIFY]}]
    assert "actions" not in policy
    changed = api.call(f"PUT {POLICIES}/{policy['id']}", {"actions": [NOTIFY]})
    assert changed["steps"] == [{"delay_minutes": 0, "actions": [STORED_NOTIFY]}]
    assert api.call(f"PUT {POLICIES}/{policy['id']}", {"actions": None}) == changed


@pytest.mark.parametrize("url", ["http://127.0.0.1/x", "http://[::1]/", "https://localhost", "http://169.254.169.254/"])
def test_a_url_that_leads_into_the_own_network_is_refused(api: Api, url: str) -> None:
    action = {"type": "webhook", "url": url}
    policy = create(api)
    steps = [{"delay_minutes": 0, "actions": [NOTIFY, action]}]
    for request in (f"POST {POLICIES}", f"PUT {POLICIES}/{policy['id']}"):
        problem(api.send(request, {"name": "Calls", "steps": steps}), 422, pointer="/steps/0/actions/1/url")


@pytest.mark.parametrize(
    ("channels", "warned"),
    [(None, []), ([], []), (["email"], []), (["sms"], ["sms"]), (["sms", "email", "teams", "sms"], ["sms", "teams"])],
)
def test_a_channel_that_is_not_set_up_is_accepted_with_a_warning(
    api: Api, channels: list[str] | None, warned: list[str]
) -> None:
    steps = [{"delay_minutes": delay, "actions": [{**NOTIFY, "channels": channels}]} for delay in (0, 1)]
    policy = create(api, steps=steps)
    for answer in (policy, api.call(f"GET {POLICIES}/{policy['id']}"), api.call(f"GET {POLICIES}")[0]):
        assert len(answer["warnings"]) == len(warned)
        assert all(word in text for word, text in zip(warned, answer["warnings"], strict=True))


@pytest.mark.parametrize("target", ["sms", ["creator", "sms"], ["sms", "email"]])
def test_a_channel_not_set_up_as_a_target_is_accepted_with_a_warning(api: Api, target: Any) -> None:
    [warning] = create(api, steps=[{"delay_minutes": 0, "actions": [{**NOTIFY, "target": target}]}])["warnings"]
    assert "sms" in warning


@pytest.mark.parametrize(
    "line", ["GET ", "POST ", "GET /{}", "PUT /{}", "DELETE /{}", "GET /999999", "GET /0", "PUT /x"]
)
@pytest.mark.parametrize("body", [{"name": "Theirs", "steps": STEPS}, {"wrong": 1}])
def test_only_administrators_keep_policies(
    api: Api, client: TestClient, user: Person, line: str, body: dict[str, Any]
) -> None:
    policy = create(api)
    method, path = line.format(policy["id"]).split(" ")
    answer = Api(client, user.headers).send(f"{method} {POLICIES}{path}", body if method in {"POST", "PUT"} else None)
    problem(answer, 403)
    assert api.call(f"GET {POLICIES}") == [policy]


@pytest.mark.parametrize("line", ["GET {}", "PUT {}", "DELETE {}"])
@pytest.mark.parametrize("policy_id", ["999999", "0", "x", "99999999999"])
def test_a_policy_that_is_not_there_is_not_found(api: Api, line: str, policy_id: str) -> None:
    body = {"name": "x"} if line.startswith("PUT") else None
    problem(api.send(line.format(f"{POLICIES}/{policy_id}"), body), 404)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "New name"),
        ("description", "New"),
        ("description", None),
        ("conditions", {}),
        ("conditions", {"metadata.n": True}),
        ("steps", [{"delay_minutes": 7, "actions": [STORED_NOTIFY]}]),
        ("is_active", True),
        ("repeat", 0),
    ],
)
def test_what_is_named_changes_and_the_rest_stays(api: Api, clock: Clock, field: str, value: Any) -> None:
    before = create(api, **RICH | {"conditions": {"metadata.n": 1}})
    clock.advance(minutes=1)
    after = api.call(f"PUT {POLICIES}/{before['id']}", {field: value})
    assert repr(after[field]) == repr(value)
    rest = before.keys() - {field, "version", "updated_at", *(["warnings"] if field == "steps" else [])}
    assert {name: after[name] for name in rest} == {name: before[name] for name in rest}
    assert after["version"] - before["version"] == (field in {"conditions", "steps", "repeat"})
    assert after["updated_at"] > before["updated_at"]
    assert api.call(f"GET {POLICIES}/{before['id']}") == after


@pytest.mark.parametrize("body", [{}, {"name": "Rich"}, {"is_active": False}, {"steps": RICH["steps"]}])
def test_a_put_that_changes_nothing_leaves_no_trace(api: Api, clock: Clock, body: dict[str, Any]) -> None:
    before = create(api, **RICH)
    clock.advance(minutes=1)
    assert api.call(f"PUT {POLICIES}/{before['id']}", body) == before


@pytest.mark.parametrize("policy", [DESIGNS_EXAMPLE, RICH])
def test_get_edit_put_works(api: Api, policy: dict[str, Any]) -> None:
    whole = create(api, **policy)
    changed = api.call(f"PUT {POLICIES}/{whole['id']}", {**whole, "name": "Edited"})
    assert changed == {**whole, "name": "Edited", "updated_at": changed["updated_at"]}


@pytest.mark.parametrize(
    ("field", "value"),
    [(name, None) for name in ("name", "conditions", "steps", "is_active", "repeat")]
    + [("steps", []), ("conditions", {"nope": 1}), ("policy", 1)],
)
def test_a_wrong_change_is_refused_by_the_field_and_changes_nothing(api: Api, field: str, value: Any) -> None:
    policy = create(api)
    answer = api.send(f"PUT {POLICIES}/{policy['id']}", {"description": "New", field: value})
    problem(answer, 422, pointer="/conditions/nope" if value == {"nope": 1} else f"/{field}")
    assert api.call(f"GET {POLICIES}/{policy['id']}") == policy


def test_a_name_is_taken_until_its_policy_is_deleted(api: Api) -> None:
    first, second = create(api, name="Databases"), create(api, name="Others")
    taken = {"name": " Databases ", "steps": STEPS}
    for answer in (
        api.send(f"POST {POLICIES}", taken),
        api.send(f"PUT {POLICIES}/{second['id']}", {"name": "Databases"}),
    ):
        assert problem(answer, 409)["code"] == "policy_name_taken"
    assert api.call(f"GET {POLICIES}") == [first, second]
    assert api.call(f"DELETE {POLICIES}/{first['id']}")["name"] == "Databases"
    again = create(api, name="Databases")
    assert again["id"] != first["id"]


def test_a_deleted_policy_is_in_no_answer(api: Api) -> None:
    policy = create(api)
    assert api.call(f"DELETE {POLICIES}/{policy['id']}").keys() == policy.keys()
    assert api.call(f"GET {POLICIES}") == []
    for line, body in (("GET", None), ("PUT", {"name": "Back"}), ("DELETE", None)):
        problem(api.send(f"{line} {POLICIES}/{policy['id']}", body), 404)


def test_policies_are_listed_oldest_first_and_in_pages(api: Api) -> None:
    made = [create(api, name=f"Policy {n}")["id"] for n in range(5)]
    assert [policy["id"] for policy in api.call(f"GET {POLICIES}")] == made
    assert [policy["id"] for policy in api.call(f"GET {POLICIES}?skip=1&limit=2")] == made[1:3]
    first = api.send(f"GET {POLICIES}?limit=3")
    rest = api.client.get(first.links["next"]["url"], headers=api.headers)
    assert [policy["id"] for policy in [*first.json(), *rest.json()]] == made
    assert rest.links == {}


def test_a_policy_that_names_somebody_who_is_gone_can_still_be_renamed(
    api: Api, sign_up: Callable[..., Person]
) -> None:
    gone = sign_up()
    policy = create(api, steps=[{"delay_minutes": 0, "actions": [{"type": "assign", "user_id": gone.id}]}])
    api.call(f"PUT /users/{gone.id}", {"is_active": False})
    whole = api.call(f"PUT {POLICIES}/{policy['id']}", {**policy, "name": "Renamed"})
    steps = [*whole["steps"], *whole["steps"]]
    answer = api.send(f"PUT {POLICIES}/{policy['id']}", {"steps": steps})
    problem(answer, 422, pointer="/steps/0/actions/0/user_id")


@pytest.mark.parametrize(
    ("wanted", "said", "is_escalated"),
    [
        (1000, 1000.0, True),
        (1000.0, "1000", True),
        ([1, 2.5], 2.5, True),
        (True, "true", True),
        ("Prod", "prod", True),
        (1e20, 100_000_000_000_000_000_000, True),
        (1000, 1000.5, False),
        (1, True, False),
        (None, "", False),
    ],
)
def test_a_condition_on_the_metadata_matches_however_its_value_is_spelled(
    api: Api, wanted: Any, said: Any, is_escalated: bool
) -> None:
    create(api, conditions={"metadata.value": wanted})
    incident = api.incident(api.alert(value=said)["incident_id"])
    assert (incident["next_escalation_at"] is not None) == is_escalated


def test_of_many_policies_of_one_name_at_once_one_is_made(settings: Settings, own_database: Database) -> None:
    with real_connections(settings, own_database) as api:
        body = {"name": "Databases", "steps": STEPS}
        answers = together([partial(api.send, f"POST {POLICIES}", body)] * 8)
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
        other = create(api, name="Others")
        line = f"PUT {POLICIES}/{other['id']}"
        answers = together([partial(api.send, line, {"name": name}) for name in ("Databases", "New") * 4])
        assert sorted(answer.status_code for answer in answers) == [200] * 4 + [409] * 4
        assert {policy["name"] for policy in api.call(f"GET {POLICIES}")} == {"Databases", "New"}


def test_saving_a_policy_that_names_nobody_takes_few_statements(
    client: TestClient, database: Database, admin: Person, open_incident: Opener
) -> None:
    for _ in range(3):
        open_incident()
    body = {"name": "Elsewhere", "conditions": {"service": "elsewhere"}, "steps": steps(0)}
    with statements(database) as seen:
        admin.on(client).call("POST /escalation/policies", body, wants=201)
    assert len([said for said in seen if said.startswith("UPDATE escalation_policies")]) == 1
    assert len(seen) <= 15
