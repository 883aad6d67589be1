"""What a change leaves behind is answered as a warning: policies that page nobody, people whom no channel reaches."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.utils.service_locator import Services
from tests.support.preferences import codes, preference, put
from tests.support.scenario import Opener, Tick, notify
from tests.support.world import OTHER_NUMBER, PASSWORD, Outbox, Person

USERS = "/v1/users"
ENDS: dict[str, dict[str, Any] | None] = {"deactivated": {"is_active": False}, "deleted": None}
NONE_LEFT = "No working channel is left for pages."


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


def change(client: TestClient, person: Person, by: Person, fields: dict[str, Any] | None) -> list[str]:
    """The warnings of a change, or of a deletion."""
    url = f"{USERS}/{person.id}"
    answer = client.put(url, json=fields, headers=by.headers) if fields else client.delete(url, headers=by.headers)
    assert answer.status_code == 200, answer.text
    found: list[str] = answer.json()["warnings"]
    return found


def names(policies: Opener, name: str, **action: Any) -> None:
    policies(name=name, steps=[{"delay_minutes": 0, "actions": [action]}])


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_whoever_ends_an_account_learns_which_policies_name_it(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener, end: dict[str, Any] | None
) -> None:
    names(add_policy, "by id", **notify(target=on_call.id))
    names(add_policy, "by address", **notify(target=["admins", on_call.email.upper()]))
    names(add_policy, "assigned", type="assign", user_id=on_call.id)
    names(add_policy, "somebody else", **notify(target=["admins", admin.id, "stranger@example.com"]))
    assert change(client, on_call, admin, end) == [
        f"The policy “{name}” names this account, which is no longer active. Change the policy's steps."
        for name in ("by id", "by address", "assigned")
    ]


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_policy_does_not_mean_an_account_that_only_claims_its_address(
    client: TestClient, admin: Person, add_policy: Opener, log_in: Callable[..., Person], end: dict[str, Any] | None
) -> None:
    client.post("/v1/auth/signup", json={"email": "list@example.com", "password": PASSWORD})
    names(add_policy, "by address", **notify(target="list@example.com"))
    assert change(client, log_in("list@example.com"), admin, end) == []


LEFT = "The policy “by address” names the former address {}, which no account has now. Change the policy's steps."


def test_an_address_that_policies_name_is_given_up_with_a_warning(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener
) -> None:
    name, _, domain = on_call.email.partition("@")
    names(add_policy, "by address", **notify(target=on_call.email))
    names(add_policy, "by id", **notify(target=on_call.id))
    assert change(client, on_call, admin, {"email": f"{name.upper()}@{domain}"}) == []
    left = LEFT.format(f"{name.upper()}@{domain}")
    assert change(client, on_call, admin, {"email": "new@example.com"}) == [left]


def test_whoever_confirms_a_new_address_learns_which_policies_name_the_former(
    client: TestClient, on_call: Person, add_policy: Opener, tick: Tick, outbox: Outbox
) -> None:
    names(add_policy, "by address", **notify(target=on_call.email))
    new = {"email": "new@example.com", "current_password": PASSWORD}
    assert client.put(f"{USERS}/me", json=new, headers=on_call.headers).json()["warnings"] == []
    tick()
    code = codes(Outbox(sent=[sent for sent in outbox.sent if sent.kind == "verification"]))[-1]
    answer = client.post(f"{USERS}/me/email/confirm", json={"code": code}, headers=on_call.headers)
    assert answer.json()["warnings"] == [LEFT.format(on_call.email)]


def test_a_change_that_ends_nothing_warns_of_nothing(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener
) -> None:
    names(add_policy, "by id", **notify(target=on_call.id))
    assert change(client, on_call, admin, {"full_name": "Ada"}) == []


def test_switching_off_the_last_channel_that_works_warns(client: TestClient, on_call: Person) -> None:
    assert put(client, on_call, "sms", enabled=False)["warnings"] == []
    [warning] = put(client, on_call, "email", enabled=False)["warnings"]
    assert warning.startswith(NONE_LEFT)
    assert preference(client, on_call, "email")["warnings"] == [warning]
    assert put(client, on_call, "sms", enabled=True)["warnings"] == []


def test_a_channel_that_is_not_set_up_does_not_count(client: TestClient, on_call: Person) -> None:
    put(client, on_call, "push", address="https://example.com/topic")
    put(client, on_call, "sms", enabled=False)
    assert put(client, on_call, "email", enabled=False)["warnings"] != []


def test_to_be_always_quiet_is_to_switch_off_for_these_severities(client: TestClient, on_call: Person) -> None:
    put(client, on_call, "sms", enabled=False)
    hours = {"from": "22:00", "until": "07:00", "time_zone": "UTC"}
    assert put(client, on_call, "email", quiet_severities=["low", "high"], quiet_hours=hours)["warnings"] == []
    [warning] = put(client, on_call, "email", quiet_hours=None)["warnings"]
    assert warning.startswith("No working channel is left for pages of severity high, low.")


def test_to_clear_the_number_of_the_last_channel_warns(client: TestClient, on_call: Person) -> None:
    put(client, on_call, "email", enabled=False)
    answers = [
        client.put(f"{USERS}/me", json={"phone_number": number}, headers=on_call.headers).json()["warnings"]
        for number in (OTHER_NUMBER, None)
    ]
    assert [len(warnings) for warnings in answers] == [0, 1]
    assert answers[1][0].startswith(NONE_LEFT)
