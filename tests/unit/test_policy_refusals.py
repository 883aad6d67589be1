"""What a policy may not say. Each refusal names the field by its JSON pointer, as the API answers it."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.api import error_handlers
from app.api.middleware.request_context import RequestContext
from app.schemas.escalation import PolicyCreate
from tests.support.answers import problem

NOTIFY: dict[str, Any] = {"type": "notify"}

Refuse = Callable[[dict[str, Any], str], None]


@pytest.fixture(scope="module")
def policies() -> TestClient:
    """Accepts policies, and keeps none."""
    app = FastAPI()
    error_handlers.install(app)
    app.add_middleware(RequestContext)

    @app.post("/")
    def accept(body: PolicyCreate) -> None: ...

    return TestClient(app)


@pytest.fixture(scope="module")
def refuse(policies: TestClient) -> Refuse:
    """Asserts that a policy is refused, and that every error is at one JSON pointer."""

    def run(body: dict[str, Any], pointer: str) -> None:
        found = problem(policies.post("/", json=body), 422)
        assert {error["pointer"] for error in found["errors"]} == {pointer}

    return run


def step(*actions: Any, delay: Any = 0) -> dict[str, Any]:
    return {"delay_minutes": delay, "actions": list(actions)}


@pytest.mark.parametrize(
    ("conditions", "pointer"),
    [
        (None, ""),
        ([], ""),
        ("severity", ""),
        ({"nope": 1}, "/nope"),
        ({"": 1}, "/"),
        ({"Severity": "high"}, "/Severity"),
        ({"a/b~c": 1}, "/a~1b~0c"),
        ({"title": "x"}, "/title"),
        ({"status": "open"}, "/status"),
        ({"metadata": "x"}, "/metadata"),
        ({"metadata.": "x"}, "/metadata."),
        ({"severity": "urgent"}, "/severity"),
        ({"severity": "HIGH"}, "/severity"),
        ({"severity": ["high", "urgent"]}, "/severity"),
        ({"severity": []}, "/severity"),
        ({"severity": None}, "/severity"),
        ({"severity": {"in": ["high"]}}, "/severity"),
        ({"severity": [["high"]]}, "/severity"),
        ({"service": ""}, "/service"),
        ({"service": 5}, "/service"),
        ({"service": " db"}, "/service"),
        ({"service": ["db", None]}, "/service"),
        ({"source": []}, "/source"),
        ({"source": "elastic\n"}, "/source"),
        ({"assigned": "true"}, "/assigned"),
        ({"assigned": 1}, "/assigned"),
        ({"metadata.x": {"a": 1}}, "/metadata.x"),
        ({"metadata.x": [[1]]}, "/metadata.x"),
        ({"severity": "high", "nope": 1}, "/nope"),
    ],
)
def test_conditions_that_could_never_match_are_refused_by_their_attribute(
    refuse: Refuse, conditions: Any, pointer: str
) -> None:
    refuse({"name": "Policy", "steps": [step(NOTIFY)], "conditions": conditions}, f"/conditions{pointer}")


@pytest.mark.parametrize("name", ["metadata.\0", "metadata.x"])
def test_conditions_that_cannot_be_stored_are_refused(refuse: Refuse, name: str) -> None:
    refuse({"name": "Policy", "steps": [step(NOTIFY)], "conditions": {name: "a\0"}}, "/conditions")


@pytest.mark.parametrize(
    ("steps", "pointer"),
    [
        (None, ""),
        ([], ""),
        ({}, ""),
        ([step(NOTIFY)] * 51, ""),
        ([None], "/0"),
        ([[]], "/0"),
        ([{"actions": [NOTIFY]}], "/0/delay_minutes"),
        ([step(NOTIFY, delay=-1)], "/0/delay_minutes"),
        ([step(NOTIFY, delay=43_201)], "/0/delay_minutes"),
        ([step(NOTIFY, delay="5")], "/0/delay_minutes"),
        ([step(NOTIFY, delay=True)], "/0/delay_minutes"),
        ([step(NOTIFY, delay=None)], "/0/delay_minutes"),
        ([step(NOTIFY, delay=[5])], "/0/delay_minutes"),
        ([step(NOTIFY), step(NOTIFY, delay=5), step(NOTIFY, delay=4)], "/2/delay_minutes"),
        ([step(NOTIFY, delay=0.2), step(NOTIFY, delay=0.1)], "/1/delay_minutes"),
        ([{"delay_minutes": 0}], "/0/actions"),
        ([step()], "/0/actions"),
        ([step(*[NOTIFY] * 21)], "/0/actions"),
        ([{"delay_minutes": 0, "actions": NOTIFY}], "/0/actions"),
        ([step(NOTIFY), {**step(NOTIFY), "delay": 5}], "/1/delay"),
    ],
)
def test_steps_that_could_not_be_taken_are_refused_where_they_are_wrong(
    refuse: Refuse, steps: Any, pointer: str
) -> None:
    refuse({"name": "Policy", "steps": steps}, f"/steps{pointer}")


WRONG_ACTIONS: list[tuple[Any, str]] = [
    (None, ""),
    ("notify", ""),
    ([], ""),
    ({}, "/type"),
    ({"type": None}, "/type"),
    ({"type": "page"}, "/type"),
    ({"type": "Notify"}, "/type"),
    ({"type": ["notify"]}, "/type"),
    ({**NOTIFY, "target": None}, "/target"),
    ({**NOTIFY, "target": "everybody"}, "/target"),
    ({**NOTIFY, "target": "Admins"}, "/target"),
    ({**NOTIFY, "target": ""}, "/target"),
    ({**NOTIFY, "target": "5"}, "/target"),
    ({**NOTIFY, "target": 0}, "/target"),
    ({**NOTIFY, "target": -1}, "/target"),
    ({**NOTIFY, "target": 1.5}, "/target"),
    ({**NOTIFY, "target": True}, "/target"),
    ({**NOTIFY, "target": 2**31}, "/target"),
    ({**NOTIFY, "target": "a@"}, "/target"),
    ({**NOTIFY, "target": "a@b c.example"}, "/target"),
    ({**NOTIFY, "target": "a" * 256}, "/target"),
    ({**NOTIFY, "target": {"user": 1}}, "/target"),
    ({**NOTIFY, "target": []}, "/target"),
    ({**NOTIFY, "target": ["all"] * 101}, "/target"),
    ({**NOTIFY, "channels": "email"}, "/channels"),
    ({**NOTIFY, "channels": ["email"] * 101}, "/channels"),
    ({**NOTIFY, "channels": ["email", "pager"]}, "/channels/1"),
    ({**NOTIFY, "channels": [None]}, "/channels/0"),
    ({**NOTIFY, "message": 5}, "/message"),
    ({**NOTIFY, "message": "a\0"}, "/message"),
    ({**NOTIFY, "message": "x" * 2001}, "/message"),
    ({**NOTIFY, "user_id": 1}, "/user_id"),
    ({**NOTIFY, "notify": 1}, "/notify"),
    ({"type": "assign"}, "/user_id"),
    ({"type": "assign", "user_id": None}, "/user_id"),
    ({"type": "assign", "user_id": "1"}, "/user_id"),
    ({"type": "assign", "user_id": 0}, "/user_id"),
    ({"type": "assign", "user_id": 1, "role": ""}, "/role"),
    ({"type": "assign", "user_id": 1, "target": "admins"}, "/target"),
    ({"type": "change_status"}, "/status"),
    ({"type": "change_status", "status": "closed"}, "/status"),
    ({"type": "change_status", "status": "snoozed"}, "/status"),
    ({"type": "status_change", "status": None}, "/status"),
]


@pytest.mark.parametrize(("action", "pointer"), WRONG_ACTIONS)
def test_a_wrong_action_is_refused_by_its_field(refuse: Refuse, action: Any, pointer: str) -> None:
    refuse({"name": "Policy", "steps": [step(NOTIFY), step(NOTIFY, action)]}, f"/steps/1/actions/1{pointer}")


@pytest.mark.parametrize(("action", "pointer"), WRONG_ACTIONS)
def test_a_wrong_action_in_the_short_form_is_refused_by_its_field(refuse: Refuse, action: Any, pointer: str) -> None:
    refuse({"name": "Policy", "actions": [NOTIFY, action]}, f"/actions/1{pointer}")


@pytest.mark.parametrize(
    ("target", "pointers"),
    [
        (None, [""]),
        ("everybody", [""]),
        (0, [""]),
        ("a@", [""]),
        ({"user": 1}, [""]),
        ([], [""]),
        (["all", "everybody", 2, 0], ["/1", "/3"]),
        ([["all"]], ["/0"]),
    ],
)
def test_a_wrong_target_is_one_error(policies: TestClient, target: Any, pointers: list[str]) -> None:
    answer = policies.post("/", json={"name": "Policy", "actions": [{**NOTIFY, "target": target}]}).json()
    assert [error["pointer"] for error in answer["errors"]] == [f"/actions/0/target{end}" for end in pointers]


@pytest.mark.parametrize("target", ["everybody", 1.5, None, ["everybody"]])
def test_the_error_of_a_wrong_target_says_what_is_allowed(policies: TestClient, target: Any) -> None:
    answer = policies.post("/", json={"name": "Policy", "actions": [{**NOTIFY, "target": target}]}).json()
    [error] = answer["errors"]
    assert error["message"].startswith("target must be one of assignees, creator, admins, all, email, ")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": None}, "/name"),
        ({"name": " "}, "/name"),
        ({"name": "x" * 256}, "/name"),
        ({"name": "a\0"}, "/name"),
        ({"description": "x" * 20_001}, "/description"),
        ({"is_active": None}, "/is_active"),
        ({"is_active": "perhaps"}, "/is_active"),
        ({"repeat": -1}, "/repeat"),
        ({"repeat": 10}, "/repeat"),
        ({"repeat": 1.5}, "/repeat"),
        ({"repeat": "1"}, "/repeat"),
        ({"repeat": True}, "/repeat"),
        ({"priority": 1}, "/priority"),
        ({"actions": [NOTIFY]}, "/actions"),
    ],
)
def test_any_other_wrong_field_is_refused_by_its_name(refuse: Refuse, fields: dict[str, Any], pointer: str) -> None:
    refuse({"name": "Policy", "steps": [step(NOTIFY)], **fields}, pointer)


@pytest.mark.parametrize("missing", ["name", "steps"])
def test_a_policy_needs_a_name_and_steps(refuse: Refuse, missing: str) -> None:
    body = {"name": "Policy", "steps": [step(NOTIFY)]}
    refuse({key: value for key, value in body.items() if key != missing}, f"/{missing}")
