"""What in a policy does not work as written is said wherever the policy is answered."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.utils.service_locator import Services
from tests.support.api import Api
from tests.support.preferences import put
from tests.support.previews import preview
from tests.support.scenario import Opener, notify, steps
from tests.support.statements import statements
from tests.support.world import Person

POLICIES = "/escalation/policies"


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


@pytest.fixture
def api(client: TestClient, admin: Person) -> Api:
    return admin.on(client)


@pytest.fixture
def ada(sign_up: Callable[..., Person]) -> Person:
    return sign_up("ada@example.com", full_name="Ada Lovelace")


def warned(api: Api, policy: dict[str, Any]) -> list[str]:
    """The warnings, which are the same in every answer."""
    one: list[str] = api.call(f"GET {POLICIES}/{policy['id']}")["warnings"]
    assert [p["warnings"] for p in api.call(f"GET {POLICIES}") if p["id"] == policy["id"]] == [one]
    assert api.call(f"PUT {POLICIES}/{policy['id']}", {})["warnings"] == one
    tried = api.call("POST /escalation/preview", {"incident": {"severity": "high", "service": "db"}})
    assert [p["warnings"] for p in tried["policies"] if p["policy_id"] == policy["id"]] == [one]
    return one


def test_a_policy_that_works_has_no_warning(api: Api, ada: Person, add_policy: Opener) -> None:
    policy = add_policy(steps=steps(0, target=[ada.id, ada.email, "admins", "all", "assignees", "creator"]))
    assert warned(api, policy) == []


def test_an_address_of_no_account_is_a_warning(api: Api, ada: Person, add_policy: Opener) -> None:
    policy = add_policy(steps=steps(0, target=[ada.id, "alicce@example.com"]))
    assert policy["warnings"] == warned(api, policy)
    [warning] = policy["warnings"]
    assert warning.startswith("No account has the address alicce@example.com, so it gets pages by e-mail only")


@pytest.mark.parametrize("named_by", ["id", "email", "assign"])
@pytest.mark.parametrize("way", ["deactivated", "deleted"])
def test_somebody_who_has_left_is_a_warning(api: Api, ada: Person, add_policy: Opener, named_by: str, way: str) -> None:
    action = {"type": "assign", "user_id": ada.id}
    if named_by != "assign":
        action = notify(target=ada.id if named_by == "id" else ada.email)
    policy = add_policy(steps=[{"delay_minutes": 0, "actions": [action, notify()]}])
    assert warned(api, policy) == []
    if way == "deleted":
        api.call(f"DELETE /users/{ada.id}")
    else:
        api.call(f"PUT /users/{ada.id}", {"is_active": False})
    [warning] = warned(api, policy)
    assert warning.startswith(f"Ada Lovelace (user {ada.id}) is deactivated or deleted")


def test_somebody_without_a_channel_that_works_is_a_warning(
    api: Api, client: TestClient, ada: Person, add_policy: Opener
) -> None:
    policy = add_policy(steps=steps(0, target=[ada.id, "admins"]))
    for channel in ("email", "sms"):
        put(client, ada, channel, enabled=False)
    assert warned(api, policy) == [f"Ada Lovelace (user {ada.id}) has no working channel, so they get no page."]


def test_somebody_without_the_channel_that_is_named_is_a_warning(api: Api, ada: Person, add_policy: Opener) -> None:
    policy = add_policy(steps=steps(0, target=[ada.id, "assignees"], channels=["sms"]))
    [warning] = warned(api, policy)
    assert warning.startswith(f"Ada Lovelace (user {ada.id}) can use none of the channels that an action names (sms)")


def test_if_nobody_is_reachable_the_warnings_say_that_too(
    api: Api, client: TestClient, ada: Person, admin: Person, add_policy: Opener
) -> None:
    alone, group = add_policy(steps=steps(0, target=ada.id)), add_policy(steps=steps(0, target="admins"))
    for channel in ("email", "sms"):
        put(client, ada, channel, enabled=False)
        put(client, admin, channel, enabled=False)
    assert warned(api, alone)[-1].startswith("Nobody whom this policy names is reachable")
    assert warned(api, group)[0] == "No administrator has a working channel."


def test_a_policy_that_pages_nobody_is_a_warning(api: Api, add_policy: Opener) -> None:
    policy = add_policy(steps=[{"delay_minutes": 0, "actions": [{"type": "comment", "content": "."}]}])
    [warning] = warned(api, policy)
    assert warning.startswith("No step of this policy pages anybody")


def test_the_policies_that_have_warnings_are_listed(api: Api, ada: Person, add_policy: Opener) -> None:
    good = [add_policy()["id"] for _ in range(2)]
    bad = [add_policy(steps=steps(0, target="nobody@example.com"))["id"] for _ in range(3)]

    def ids(query: str) -> list[int]:
        return [policy["id"] for policy in api.call(f"GET {POLICIES}?{query}")]

    assert (ids("has_warnings=true"), ids("has_warnings=false")) == (bad, good)
    first = api.send(f"GET {POLICIES}?has_warnings=true&limit=2")
    assert [policy["id"] for policy in first.json()] == bad[:2]
    assert 'rel="next"' in first.headers["Link"]
    assert ids(f"has_warnings=true&cursor={bad[1]}") == bad[2:]
    assert ids("has_warnings=true&skip=1&limit=1") == bad[1:2]


def test_a_list_of_many_policies_takes_as_many_statements_as_of_one(
    api: Api, services: Services, ada: Person, add_policy: Opener
) -> None:
    def count() -> int:
        with statements(services.database) as seen:
            api.call(f"GET {POLICIES}?has_warnings=true")
        return len(seen)

    targets: list[Any] = [ada.id, "nobody@example.com", "admins", "all"]
    add_policy(steps=steps(0, target=targets))
    one = count()
    for number in range(20):
        add_policy(steps=steps(0, target=[*targets, f"nobody-{number}@example.com"]))
    assert count() == one


def test_a_preview_of_a_draft_has_its_warnings(client: TestClient, admin: Person) -> None:
    draft = {"name": "Draft", "steps": steps(0, target="alicce@example.com")}
    found = preview(client, admin, incident={"severity": "high", "service": "db"}, policy=draft)
    assert "alicce@example.com" in found["policies"][0]["warnings"][0]


@pytest.mark.parametrize(("source", "is_paged"), [("elastic", True), ("api", False)])
def test_a_preview_says_if_no_policy_matches(
    client: TestClient, admin: Person, add_policy: Opener, source: str, is_paged: bool
) -> None:
    add_policy(conditions={"severity": "critical"})
    found = preview(client, admin, incident={"severity": "low", "service": "db", "source": source})
    assert (found["no_policy_matches"], found["is_anybody_paged"]) == (True, is_paged)
    assert [person["recipient"] for person in found["then_paged"]] == [f"user:{admin.id}"] * is_paged


def test_why_says_that_an_address_has_no_account(
    api: Api, add_policy: Opener, open_incident: Opener, tick: Callable[[], None]
) -> None:
    add_policy(steps=steps(0, target="alicce@example.com"))
    incident = open_incident()
    tick()
    people = api.call(f"GET /incidents/{incident['id']}/why")["people"]
    [reasons] = [person["reasons"] for person in people if person["recipient"].startswith("email:")]
    assert [reason["code"] for reason in reasons] == ["accepted", "no_account"]


def test_why_says_that_no_policy_matched(api: Api, tick: Callable[[], None], admin: Person) -> None:
    incident_id = api.alert(id="a")["incident_id"]
    before = api.call(f"GET /incidents/{incident_id}/why")
    assert before["no_policy_matched"] is True
    tick()
    [person] = api.call(f"GET /incidents/{incident_id}/why")["people"]
    assert [reason["code"] for reason in person["reasons"]] == ["accepted", "no_policy_matched"]


URL = "https://wiki.example.com/runbooks/db"


def test_a_policy_keeps_a_runbook(api: Api, add_policy: Opener) -> None:
    policy = add_policy(runbook_url=URL)
    assert (policy["runbook_url"], policy["version"]) == (URL, 1)
    assert api.call(f"PUT {POLICIES}/{policy['id']}", {"name": "Other"})["runbook_url"] == URL
    cleared = api.call(f"PUT {POLICIES}/{policy['id']}", {"runbook_url": None})
    assert (cleared["runbook_url"], cleared["version"]) == (None, 1)
    assert add_policy()["runbook_url"] is None


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "wiki/db", "ftp://a/b", "https://u:p@wiki.example.com", "http://", f"{URL}{'x' * 2048}"],
)
def test_a_runbook_that_is_no_web_address_is_refused(api: Api, add_policy: Opener, url: str) -> None:
    body = {"name": "x", "steps": steps(0), "runbook_url": url}
    answer = api.call(f"POST {POLICIES}", body, wants=422)
    assert [error["pointer"] for error in answer["errors"]] == ["/runbook_url"]


def test_a_viewer_who_is_named_is_a_warning(api: Api, ada: Person, add_policy: Opener) -> None:
    policy = add_policy(steps=steps(0, target=[ada.id, "admins"]))
    api.call(f"PUT /users/{ada.id}", {"role": "viewer"})
    [warning] = warned(api, policy)
    assert warning.startswith(f"Ada Lovelace (user {ada.id}) is a viewer")
