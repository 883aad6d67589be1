"""An address of which the provider says that it is gone."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.integrations.channels.sms.twilio_callback import report_of
from app.services.delivery import callback_service
from app.utils.service_locator import Services
from tests.support.preferences import GONE, post, preference, put
from tests.support.scenario import Opener, Tick, notify, steps
from tests.support.twilio import only
from tests.support.world import ADMIN, NUMBER, OTHER_NUMBER, Outbox, Person


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


@pytest.fixture
def gone(client: TestClient, on_call: Person, tick: Tick, sms: Outbox) -> dict[str, Any]:
    """The preference after the provider has said so."""
    sms.answers = [GONE]
    post(client, on_call, "test")
    tick()
    return preference(client, on_call)


def change_profile(client: TestClient, by: Person, whose: int | str = "me", **change: Any) -> None:
    by.on(client).call(f"PUT /users/{whose}", change)


def test_its_channel_is_switched_off_and_says_why(gone: dict[str, Any]) -> None:
    assert (gone["enabled"], gone["is_enabled"]) == (False, False)
    assert "no longer exists" in gone["disabled_reason"]


@pytest.mark.usefixtures("gone")
def test_its_owner_is_told_by_another_channel_once(on_call: Person, tick: Tick, outbox: Outbox) -> None:
    tick()
    tick()
    [notice] = outbox.sent
    assert (notice.address, notice.kind) == (on_call.email, "notice")
    assert "Your channel sms was switched off" in notice.body


@pytest.mark.parametrize("address", [OTHER_NUMBER, NUMBER])
@pytest.mark.usefixtures("gone")
def test_another_address_takes_the_reason_away(client: TestClient, on_call: Person, address: str) -> None:
    """Also the profile's number, when it is given by hand: the client says that it is right."""
    answered = put(client, on_call, address=address, enabled=True)
    assert (answered["enabled"], answered["disabled_reason"]) == (True, None)


@pytest.mark.usefixtures("gone")
@pytest.mark.parametrize(("said", "is_on"), [({}, True), ({"enabled": False}, False)])
def test_a_new_address_switches_the_channel_on_unless_its_owner_says_not(
    client: TestClient, on_call: Person, said: dict[str, Any], is_on: bool
) -> None:
    answered = put(client, on_call, address=OTHER_NUMBER, **said)
    assert (answered["enabled"], answered["disabled_reason"]) == (is_on, None)


@pytest.mark.usefixtures("gone")
@pytest.mark.parametrize("by_admin", [False, True], ids=["owner", "administrator"])
def test_a_new_number_switches_the_channel_on_and_gets_the_next_message(
    client: TestClient, on_call: Person, admin: Person, tick: Tick, sms: Outbox, by_admin: bool
) -> None:
    change_profile(client, admin if by_admin else on_call, on_call.id if by_admin else "me", phone_number=OTHER_NUMBER)
    found = preference(client, on_call)
    assert (found["enabled"], found["is_enabled"], found["disabled_reason"]) == (True, True, None)
    post(client, on_call, "test")
    tick()
    assert [message.address for message in sms.sent] == [NUMBER, OTHER_NUMBER]


@pytest.mark.usefixtures("gone")
@pytest.mark.parametrize("change", [{"phone_number": NUMBER}, {"phone_number": None}, {"full_name": "New"}])
def test_a_profile_that_leads_nowhere_else_leaves_it_off(
    client: TestClient, on_call: Person, change: dict[str, Any]
) -> None:
    change_profile(client, on_call, **change)
    found = preference(client, on_call)
    assert found["enabled"] is False
    assert found["disabled_reason"] is not None


@pytest.mark.usefixtures("gone")
def test_another_mail_address_in_the_profile_leaves_another_channel_off(
    client: TestClient, on_call: Person, admin: Person
) -> None:
    change_profile(client, admin, on_call.id, email="new@example.com")
    assert preference(client, on_call)["enabled"] is False


def test_another_mail_address_in_the_profile_switches_mail_on(
    client: TestClient, on_call: Person, admin: Person, tick: Tick, outbox: Outbox
) -> None:
    outbox.answers = [GONE]
    post(client, on_call, "test", channel="email")
    tick()
    assert preference(client, on_call, "email")["disabled_reason"] is not None
    change_profile(client, admin, on_call.id, email="new@example.com")
    found = preference(client, on_call, "email")
    assert (found["enabled"], found["disabled_reason"]) == (True, None)


def test_a_new_number_leaves_off_a_channel_with_an_address_of_its_own(
    client: TestClient, on_call: Person, tick: Tick, sms: Outbox
) -> None:
    put(client, on_call, address=OTHER_NUMBER)
    sms.answers = [GONE]
    post(client, on_call, "test")
    tick()
    change_profile(client, on_call, phone_number="+15550111")
    assert preference(client, on_call)["disabled_reason"] is not None


def test_a_new_number_leaves_off_a_channel_its_owner_switched_off(client: TestClient, on_call: Person) -> None:
    put(client, on_call, enabled=False)
    change_profile(client, on_call, phone_number=OTHER_NUMBER)
    assert preference(client, on_call)["enabled"] is False


@pytest.mark.usefixtures("gone")
def test_other_changes_leave_the_reason(client: TestClient, on_call: Person) -> None:
    assert put(client, on_call, position=2)["disabled_reason"] is not None


@pytest.mark.usefixtures("gone")
def test_the_next_page_takes_another_channel(
    client: TestClient, on_call: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    put(client, on_call, position=1)
    add_policy(steps=steps(0, target=on_call.id))
    open_incident()
    tick()
    assert sorted(mail.kind for mail in outbox.sent) == ["notice", "page"]


def test_the_page_itself_falls_back(
    client: TestClient,
    on_call: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    outbox: Outbox,
    sms: Outbox,
) -> None:
    sms.answers = [GONE]
    add_policy(steps=[{"delay_minutes": 0, "actions": [notify(target=on_call.id, channels=["sms"])]}])
    open_incident()
    tick()
    tick()
    assert sorted(mail.kind for mail in outbox.sent) == ["notice", "page"]
    assert preference(client, on_call)["enabled"] is False


def test_the_failure_of_a_replaced_address_does_not_count_for_the_new_one(
    client: TestClient, on_call: Person, tick: Tick, outbox: Outbox, sms: Outbox
) -> None:
    sms.answers = [GONE]
    post(client, on_call, "test")
    put(client, on_call, address=OTHER_NUMBER)
    tick()
    tick()
    assert (preference(client, on_call)["enabled"], outbox.sent) == (True, [])


def test_who_has_switched_it_off_before_is_not_told(
    client: TestClient, on_call: Person, tick: Tick, outbox: Outbox, sms: Outbox
) -> None:
    sms.answers = [GONE]
    post(client, on_call, "test")
    put(client, on_call, enabled=False)
    tick()
    tick()
    assert (preference(client, on_call)["disabled_reason"], outbox.sent) == (None, [])


def test_who_has_no_other_channel_sees_it_in_the_preferences(
    client: TestClient, on_call: Person, tick: Tick, outbox: Outbox, sms: Outbox
) -> None:
    put(client, on_call, "email", enabled=False)
    sms.answers = [GONE]
    post(client, on_call, "test")
    tick()
    tick()
    assert preference(client, on_call)["disabled_reason"] is not None
    assert outbox.sent == []


def test_an_address_that_nobody_has_an_account_for_is_let_be(
    add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox, client: TestClient, admin: Person
) -> None:
    outbox.answers = [GONE]
    add_policy(steps=steps(0, target="stranger@example.com"))
    open_incident()
    tick()
    tick()
    assert [mail.address for mail in outbox.sent] == ["stranger@example.com", ADMIN]
    assert preference(client, admin, "email")["enabled"] is True


@pytest.mark.parametrize(("code", "is_on"), [("30005", False), ("30006", False), ("30003", True)])
def test_a_report_that_the_number_is_unknown_switches_its_channel_off(
    client: TestClient, on_call: Person, tick: Tick, session: Session, services: Services, code: str, is_on: bool
) -> None:
    post(client, on_call, "test")
    tick()
    report = report_of(only(session).idempotency_key, [("MessageStatus", "undelivered"), ("ErrorCode", code)])
    with services.database.transaction() as own:
        callback_service.take(own, report, services.paging)
    assert preference(client, on_call)["enabled"] is is_on
