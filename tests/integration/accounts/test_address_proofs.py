"""An account's e-mail address is a claim until it is proved, and a claim grants nothing."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app.core.errors import WrongPassword
from tests.support.answers import problem
from tests.support.explanations import why
from tests.support.preferences import codes
from tests.support.previews import preview
from tests.support.scenario import Opener, Tick, events, steps
from tests.support.world import ADMIN, PASSWORD, Clock, Outbox, Person

ME = "/v1/users/me"
TOKEN = re.compile(r"/reset-password/([\w-]{43})$", re.MULTILINE)
LIST = "all-hands@example.com"
CURRENT = {"current_password": PASSWORD}
LogIn = Callable[..., Person]


@pytest.fixture
def squatter(client: TestClient, log_in: LogIn) -> Person:
    """Somebody who signed up with an address that is not theirs."""
    answer = client.post("/v1/auth/signup", json={"email": LIST, "password": PASSWORD})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["is_address_proved"], answer.json()["pending_email"]) == (False, None)
    return log_in(LIST)


def put(client: TestClient, by: Person, **change: Any) -> Response:
    return client.put(ME, json=change, headers=by.headers)


def me(client: TestClient, by: Person) -> dict[str, Any]:
    answer = client.get(ME, headers=by.headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def claim(client: TestClient, by: Person, email: str) -> None:
    answer = put(client, by, email=email, **CURRENT)
    assert (answer.status_code, answer.json()["email"], answer.json()["pending_email"]) == (200, by.email, email)


def confirm(client: TestClient, by: Person, code: str) -> Response:
    return client.post(f"{ME}/email/confirm", json={"code": code}, headers=by.headers)


def code_for(outbox: Outbox, address: str) -> str:
    return codes(
        Outbox(sent=[sent for sent in outbox.sent if sent.kind == "verification" and sent.address == address])
    )[-1]


def told(outbox: Outbox, address: str) -> list[str]:
    return [sent.body for sent in outbox.sent if sent.kind == "notice" and sent.address == address]


def paged(client: TestClient, admin: Person, incident: dict[str, Any]) -> list[str]:
    [event] = events(client, incident, admin)
    return [notified["recipient"] for notified in event["metadata"]["notified"]]


@pytest.mark.parametrize("given", [{}, {"current_password": "not the password"}], ids=["none", "wrong"])
@pytest.mark.parametrize("change", [{"email": LIST}, {"password": "another password"}], ids=["address", "password"])
def test_a_new_address_or_password_needs_the_current_password(
    client: TestClient, user: Person, change: dict[str, str], given: dict[str, str]
) -> None:
    before = me(client, user)
    found = problem(put(client, user, full_name="Eve", **change, **given), 422, pointer="/current_password")
    assert found["code"] == (WrongPassword.code if given else "invalid_input")
    assert me(client, user) == before


def test_a_new_address_holds_once_its_code_was_entered(
    client: TestClient, user: Person, log_in: LogIn, tick: Tick, outbox: Outbox
) -> None:
    claim(client, user, "new@example.com")
    tick()
    assert (me(client, user)["email"], me(client, user)["pending_email"]) == (user.email, "new@example.com")
    answer = confirm(client, user, code_for(outbox, "new@example.com"))
    assert answer.status_code == 200, answer.text
    assert (answer.json()["email"], answer.json()["pending_email"]) == ("new@example.com", None)
    assert answer.json() == me(client, user)
    assert log_in("new@example.com").id == user.id


def test_the_old_address_is_told_when_it_is_asked_for_and_when_it_changes(
    client: TestClient, user: Person, tick: Tick, outbox: Outbox
) -> None:
    claim(client, user, "new@example.com")
    tick()
    [asked] = told(outbox, user.email)
    assert "asked to change the e-mail address of your account to n***@example.com" in asked
    confirm(client, user, code_for(outbox, "new@example.com"))
    tick()
    assert told(outbox, user.email)[-1].startswith("The e-mail address of your account is n***@example.com now.")
    assert told(outbox, "new@example.com") == []


@pytest.mark.parametrize("wrong", ["000000", "x", "", "0" * 33])
def test_without_the_code_a_new_address_never_holds(
    client: TestClient, user: Person, tick: Tick, outbox: Outbox, wrong: str
) -> None:
    claim(client, user, "new@example.com")
    tick()
    code = code_for(outbox, "new@example.com")
    problem(confirm(client, user, "111111" if wrong == code else wrong), 422, pointer="/code")
    assert me(client, user)["email"] == user.email


def test_a_code_is_spent_by_use_and_by_time_and_by_a_later_claim(
    client: TestClient, user: Person, tick: Tick, outbox: Outbox, clock: Clock
) -> None:
    claim(client, user, "first@example.com")
    tick()
    first = code_for(outbox, "first@example.com")
    claim(client, user, "second@example.com")
    problem(confirm(client, user, first), 422)
    clock.advance(minutes=16)
    tick()
    problem(confirm(client, user, code_for(outbox, "second@example.com")), 422)
    assert client.post(f"{ME}/email/verify", headers=user.headers).status_code == 200
    tick()
    code = code_for(outbox, "second@example.com")
    assert confirm(client, user, code).status_code == 200
    problem(confirm(client, user, code), 422)


def test_a_new_password_drops_the_address_that_waits(
    client: TestClient, user: Person, log_in: LogIn, tick: Tick, outbox: Outbox
) -> None:
    """Whoever learnt the password asked for the new address; its owner answers with another password."""
    claim(client, user, "eve@example.com")
    tick()
    assert put(client, user, password="another password", **CURRENT).json()["pending_email"] is None
    problem(confirm(client, log_in(user.email, "another password"), code_for(outbox, "eve@example.com")), 422)


def test_the_owner_is_told_of_a_new_password(
    client: TestClient, user: Person, admin: Person, tick: Tick, outbox: Outbox, log_in: LogIn
) -> None:
    put(client, user, password="another password", **CURRENT)
    client.put(f"/v1/users/{user.id}", json={"password": "a third password"}, headers=admin.headers)
    tick()
    assert [text.startswith("The password of your account was changed.") for text in told(outbox, user.email)] == [
        True, True,
    ]  # fmt: skip


def test_an_address_that_was_taken_meanwhile_is_refused(
    client: TestClient, user: Person, sign_up: LogIn, tick: Tick, outbox: Outbox
) -> None:
    claim(client, user, "new@example.com")
    tick()
    sign_up("new@example.com")
    assert problem(confirm(client, user, code_for(outbox, "new@example.com")), 409)["code"] == "email_taken"
    assert me(client, user)["email"] == user.email


def test_a_claimed_address_of_a_policy_pages_the_address_and_not_the_claimant(
    client: TestClient,
    user: Person,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    outbox: Outbox,
) -> None:
    """By a change of the own account, which has another channel ready."""
    claim(client, user, LIST)
    client.put("/v1/notification-preferences/me/email", json={"address": "eve@example.com"}, headers=user.headers)
    add_policy(steps=steps(0, target=LIST))
    incident = open_incident()
    tick()
    assert paged(client, admin, incident) == [f"email:{LIST}"]
    assert [sent.address for sent in outbox.sent if sent.kind == "page"] == [LIST]


@pytest.mark.parametrize("ended", [None, "deactivated", "deleted"])
def test_a_signed_up_address_of_a_policy_pages_the_address_only(
    client: TestClient, squatter: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    outbox: Outbox, ended: str | None,
) -> None:  # fmt: skip
    """Neither the account nor, once that was ended, nobody."""
    client.put("/v1/notification-preferences/me/email", json={"address": "eve@example.com"}, headers=squatter.headers)
    if ended == "deactivated":
        client.put(f"/v1/users/{squatter.id}", json={"is_active": False}, headers=admin.headers)
    if ended == "deleted":
        client.delete(f"/v1/users/{squatter.id}", headers=admin.headers)
    add_policy(steps=steps(0, target=LIST))
    incident = open_incident()
    tick()
    assert paged(client, admin, incident) == [f"email:{LIST}"]
    assert [sent.address for sent in outbox.sent if sent.kind == "page"] == [LIST]


def test_a_preview_knows_no_claimant(client: TestClient, squatter: Person, admin: Person, add_policy: Opener) -> None:
    add_policy(steps=steps(0, target=LIST))
    found = preview(client, admin, incident={"severity": "high", "service": "database"})
    [person] = found["policies"][0]["steps"][0]["actions"][0]["people"]
    assert (person["recipient"], person["user_id"]) == (f"email:{LIST}", None)


def test_a_claimed_address_of_a_policy_is_a_warning(squatter: Person, add_policy: Opener) -> None:
    """The claimant is no account that the page could go to."""
    [warning] = add_policy(steps=steps(0, target=LIST))["warnings"]
    assert warning.startswith(f"No account has the address {squatter.email}, ")


def test_why_knows_no_claimant(
    client: TestClient, squatter: Person, admin: Person, add_policy: Opener, open_incident: Opener
) -> None:
    add_policy(steps=steps(5, target=LIST))
    found = why(client, open_incident(), admin)
    assert "email:a***@example.com" in found
    assert f"user:{squatter.id}" not in found


def test_who_signed_up_proves_the_address_by_its_code(
    client: TestClient, squatter: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick,
    outbox: Outbox,
) -> None:  # fmt: skip
    tick()
    answer = confirm(client, squatter, code_for(outbox, LIST))
    assert (answer.status_code, answer.json()["is_address_proved"]) == (200, True)
    problem(client.post(f"{ME}/email/verify", headers=squatter.headers), 409)
    add_policy(steps=steps(0, target=LIST))
    assert_paged = open_incident()
    tick()
    assert paged(client, admin, assert_paged) == [f"user:{squatter.id}"]


def test_the_code_of_the_mail_channel_proves_the_accounts_own_address_too(
    client: TestClient, squatter: Person, tick: Tick, outbox: Outbox
) -> None:
    url = "/v1/notification-preferences/me/email"
    tick()
    outbox.sent.clear()  # the code of the sign-up
    assert client.post(f"{url}/verify", headers=squatter.headers).status_code == 200
    tick()
    answer = client.post(f"{url}/confirm", json={"code": code_for(outbox, LIST)}, headers=squatter.headers)
    assert answer.json()["is_verified"] is True
    assert me(client, squatter)["is_address_proved"] is True


def test_the_code_of_another_address_proves_no_account(
    client: TestClient, squatter: Person, tick: Tick, outbox: Outbox
) -> None:
    url = "/v1/notification-preferences/me/email"
    client.put(url, json={"address": "eve@example.com"}, headers=squatter.headers)
    client.post(f"{url}/verify", headers=squatter.headers)
    tick()
    answer = client.post(f"{url}/confirm", json={"code": code_for(outbox, "eve@example.com")}, headers=squatter.headers)
    assert answer.json()["is_verified"] is True
    assert me(client, squatter)["is_address_proved"] is False


def test_an_unproved_address_is_no_verified_channel(client: TestClient, squatter: Person, user: Person) -> None:
    for person, is_verified in ((squatter, False), (user, True)):
        rows = client.get("/v1/notification-preferences/me", headers=person.headers).json()
        assert [row["is_verified"] for row in rows if row["channel"] == "email"] == [is_verified]


def test_an_address_that_only_folds_alike_is_not_verified(client: TestClient, sign_up: LogIn, admin: Person) -> None:
    """`ß` and `ss` are the same to Unicode's case folding, and two mailboxes."""
    person = sign_up("straße@example.com")
    url = "/v1/notification-preferences/me/email"
    for address, is_verified in (("STRAßE@example.com", True), ("strasse@example.com", False)):
        answer = client.put(url, json={"address": address}, headers=person.headers)
        assert answer.json()["is_verified"] is is_verified


def test_the_owner_of_an_address_gets_no_channels_that_others_planted(
    client: TestClient, squatter: Person, tick: Tick, outbox: Outbox, log_in: LogIn
) -> None:
    """By password recovery, whose token comes to the address, and so proves it."""
    put(client, squatter, phone_number="+15550166")
    client.put("/v1/notification-preferences/me/email", json={"address": "eve@example.com"}, headers=squatter.headers)
    claim(client, squatter, "eve@example.com")
    client.post(f"/v1/auth/password-recovery/{LIST}")
    tick()
    [mail] = [sent for sent in outbox.sent if sent.kind == "password_reset"]
    [token] = TOKEN.findall(mail.body)
    body = {"token": token, "new_password": "another password"}
    assert client.post("/v1/auth/reset-password", json=body).status_code == 200
    problem(client.get(ME, headers=squatter.headers), 401)
    owner = log_in(LIST, "another password")
    found = me(client, owner)
    assert (found["is_address_proved"], found["pending_email"], found["phone_number"]) == (True, None, None)
    rows = client.get("/v1/notification-preferences/me", headers=owner.headers).json()
    assert {row["address"] for row in rows} == {None}


def test_a_proved_account_keeps_its_channels_when_its_password_is_reset(
    client: TestClient, user: Person, tick: Tick, outbox: Outbox, log_in: LogIn
) -> None:
    put(client, user, phone_number="+15550166")
    client.post(f"/v1/auth/password-recovery/{user.email}")
    tick()
    [token] = TOKEN.findall(outbox.sent[0].body)
    client.post("/v1/auth/reset-password", json={"token": token, "new_password": "another password"})
    assert me(client, log_in(user.email, "another password"))["phone_number"] == "+15550166"


def test_administrators_list_and_decide_what_is_proved(client: TestClient, squatter: Person, admin: Person) -> None:
    def listed(is_proved: bool) -> list[str]:
        answer = client.get(f"/v1/users?is_address_proved={is_proved}", headers=admin.headers)
        return [user["email"] for user in answer.json()]

    assert (listed(True), listed(False)) == ([ADMIN], [LIST])
    url = f"/v1/users/{squatter.id}"
    for is_proved in (True, False):
        answer = client.put(url, json={"is_address_proved": is_proved}, headers=admin.headers)
        assert answer.json()["is_address_proved"] is is_proved
    put(client, squatter, is_address_proved=True)
    assert (listed(True), listed(False)) == ([ADMIN], [LIST])


def test_an_address_set_by_an_administrator_is_proved_and_the_old_is_told(
    client: TestClient, squatter: Person, admin: Person, tick: Tick, outbox: Outbox
) -> None:
    claim(client, squatter, "eve@example.com")
    body = {"email": "ada@example.com"}
    found = client.put(f"/v1/users/{squatter.id}", json=body, headers=admin.headers).json()
    assert (found["email"], found["is_address_proved"], found["pending_email"]) == ("ada@example.com", True, None)
    tick()
    assert any("a***@example.com now" in text for text in told(outbox, LIST))


def test_promoting_an_account_with_an_unproved_address_warns(
    client: TestClient, squatter: Person, user: Person, admin: Person
) -> None:
    for person, is_warned in ((squatter, True), (user, False)):
        answer = client.put(f"/v1/users/{person.id}", json={"is_superuser": True}, headers=admin.headers)
        assert any("not confirmed" in warning for warning in answer.json()["warnings"]) is is_warned
