"""How people want to be reached: by which channels, and where those lead."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.core import channel as registry
from app.core.config import Settings
from app.db.session import Database
from app.main import create_app
from app.utils.service_locator import build_services
from tests.support.answers import problem
from tests.support.contention import meeting_at
from tests.support.world import PASSWORD, Outbox, Person

PREFERENCES = "/notification-preferences"
UNSET: dict[str, Any] = {
    "position": None,
    "quiet_severities": [],
    "quiet_hours": None,
    "is_verified": False,
    "disabled_reason": None,
    "warnings": [],
}
FIELDS = {"id", "user_id", "user_name", "channel", "enabled", "is_enabled", "address", "status_updates", *UNSET}
CHANNELS = ["email", "sms", "push", "webhook", "slack", "teams"]
Preference = dict[str, Any]


def listed(client: TestClient, by: Person, whose: int | str = "me") -> dict[str, Preference]:
    """Everything that holds, by channel."""
    answer = by.on(client).send(f"GET {PREFERENCES}/{whose}")
    assert answer.status_code == 200, answer.text
    return {preference["channel"]: preference for preference in answer.json()}


def put(client: TestClient, by: Person, channel: str, change: Preference, *, whose: int | str = "me") -> Preference:
    preference: Preference = by.on(client).call(f"PUT {PREFERENCES}/{whose}/{channel}", change)
    return preference


def test_every_channel_is_listed_though_none_was_set(client: TestClient, user: Person) -> None:
    answer = user.on(client).send(f"GET {PREFERENCES}/me")
    own_row = {"id": None, "user_id": user.id, "user_name": "user", "address": None}
    expected = {**UNSET, **own_row, "enabled": True, "is_enabled": True}
    own = {"email"}  # the account's own address needs no proof
    told = {"email", "webhook", "slack", "teams"}  # by default: what rings a phone is for pages
    assert answer.json() == [
        {**expected, "channel": name, "is_verified": name in own, "status_updates": name in told} for name in CHANNELS
    ]
    assert registry.CHANNELS.names() == [*CHANNELS, "apprise"]  # an extra, which is not set up here


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("name", ["enabled", "is_enabled"])
def test_a_channel_is_switched_by_either_name_and_answered_by_both(
    client: TestClient, user: Person, channel: str, name: str
) -> None:
    before = listed(client, user)
    for value in (False, True, True, False):
        answered = put(client, user, channel, {name: value})
        assert answered.keys() == FIELDS
        assert (answered["enabled"], answered["is_enabled"], answered["channel"]) == (value, value, channel)
        assert isinstance(answered["id"], int)
        assert listed(client, user) == {**before, channel: answered}


@pytest.mark.parametrize(
    ("channel", "address"),
    [
        ("email", "oncall@example.com"),
        ("sms", "+15550100199"),
        ("push", "on-call_7"),
        ("webhook", "https://hooks.example/1"),
        ("slack", "https://hooks.slack.example/services/T0/B0/x"),
        ("teams", "https://flows.example/" + "x" * 2026),
    ],
)
def test_a_channel_leads_where_it_was_told_and_null_clears_that(
    client: TestClient, user: Person, channel: str, address: str
) -> None:
    put(client, user, channel, {"enabled": False})
    for given, expected in ((address, address), (None, None), (f" {address} ", address), ("", None)):
        answered = put(client, user, channel, {"address": given})
        assert (answered["address"], answered["enabled"]) == (expected, False)
        assert listed(client, user)[channel] == answered


def test_switching_keeps_the_address(client: TestClient, user: Person) -> None:
    put(client, user, "email", {"address": "oncall@example.com"})
    assert put(client, user, "email", {"is_enabled": False})["address"] == "oncall@example.com"
    assert put(client, user, "email", {}) == listed(client, user)["email"]


@pytest.mark.parametrize(
    ("channel", "address"),
    [
        ("email", "nobody"),
        ("email", "a@example.com, b@example.com"),
        ("email", "a@example.com\nBcc: b@example.com"),
        ("sms", "call me"),
        ("sms", "1" * 33),
        ("sms", "+15550100, +15550101"),
        ("push", "x" * 65),
        ("push", "x" * 2049),
        ("push", "device token"),
        ("push", "https://127.0.0.1/topic"),
        ("push", "https://ntfy.sh/topic?auth=1"),
        ("push", '{"endpoint": "https://push.example.com/x", "keys": {}}'),
        ("webhook", "hooks.example"),
        ("webhook", "ftp://hooks.example/"),
        ("webhook", "https://me:secret@hooks.example/"),
        ("webhook", "https://127.0.0.1/"),
        ("webhook", "https://hooks.example/" + "x" * 2027),
        ("slack", "#incidents"),
        ("slack", "http://hooks.slack.example/services/T0/B0/x"),
        ("slack", "a\x00b"),
        ("slack", 1),
        ("teams", "ü" * 2048),
        ("teams", "http://flows.example/"),
    ],
)
def test_what_is_no_address_for_the_channel_is_refused(
    client: TestClient, user: Person, channel: str, address: Any
) -> None:
    answer = user.on(client).send(f"PUT {PREFERENCES}/me/{channel}", {"address": address})
    problem(answer, 422, pointer="/address")
    assert listed(client, user)[channel]["id"] is None


@pytest.mark.parametrize("name", ["enabled", "is_enabled"])
@pytest.mark.parametrize("value", [None, "x", 2, [], {}])
def test_what_is_neither_on_nor_off_is_refused(client: TestClient, user: Person, name: str, value: Any) -> None:
    answer = user.on(client).send(f"PUT {PREFERENCES}/me/email", {name: value})
    problem(answer, 422, pointer=f"/{name}")


@pytest.mark.parametrize("edited", [{"enabled": False}, {"is_enabled": False}, {"address": "oncall@example.com"}, {}])
@pytest.mark.parametrize("was_set", [True, False])
def test_what_was_read_can_be_edited_and_sent_back(
    client: TestClient, user: Person, edited: Preference, was_set: bool
) -> None:
    if was_set:
        put(client, user, "email", {"enabled": True})
    read = listed(client, user)["email"]
    answered = put(client, user, "email", {**read, **edited})
    is_on = False not in edited.values()
    address = edited.get("address")
    expected = {"enabled": is_on, "is_enabled": is_on, "address": address, "is_verified": address is None}
    assert answered == {**read, "id": answered["id"], **expected, "warnings": answered["warnings"]}
    assert bool(answered["warnings"]) is not is_on  # mail is the one channel here


def test_what_the_server_sets_is_ignored(client: TestClient, user: Person, admin: Person) -> None:
    answered = put(client, user, "sms", {"id": 99, "user_id": admin.id, "channel": "email", "enabled": False})
    assert (answered["user_id"], answered["channel"]) == (user.id, "sms")
    assert listed(client, admin)["email"]["id"] is None


@pytest.mark.parametrize("channel", ["pager", "EMAIL", "email ", "%00", "me"])
def test_a_channel_that_is_not_there_is_not_found(client: TestClient, user: Person, channel: str) -> None:
    answer = user.on(client).send(f"PUT {PREFERENCES}/me/{channel}", {"enabled": True})
    problem(answer, 404)


def test_an_unknown_channel_is_answered_with_those_that_there_are(client: TestClient, user: Person) -> None:
    answer = user.on(client).send(f"PUT {PREFERENCES}/me/pager", {"enabled": True})
    assert "is not a channel. Use one of email, " in problem(answer, 404)["detail"]


def test_an_administrator_reads_and_sets_those_of_others(client: TestClient, user: Person, admin: Person) -> None:
    answered = put(client, admin, "sms", {"enabled": False, "address": "+15550100"}, whose=user.id)
    assert answered["user_id"] == user.id
    assert listed(client, admin, user.id) == listed(client, user)
    assert listed(client, user)["sms"] == answered
    assert listed(client, admin)["sms"]["id"] is None


def test_nobody_else_does(client: TestClient, user: Person, admin: Person) -> None:
    problem(user.on(client).send(f"GET {PREFERENCES}/{admin.id}"), 403)
    problem(user.on(client).send(f"GET {PREFERENCES}/{user.id}"), 403)
    answer = user.on(client).send(f"PUT {PREFERENCES}/{admin.id}/email", {"enabled": False})
    problem(answer, 403)
    assert listed(client, admin)["email"]["enabled"] is True


@pytest.mark.parametrize("missing", [10**6, 2**31 - 1])
def test_somebody_who_is_not_there_has_none(client: TestClient, admin: Person, missing: int) -> None:
    problem(admin.on(client).send(f"GET {PREFERENCES}/{missing}"), 404)
    answer = admin.on(client).send(f"PUT {PREFERENCES}/{missing}/email", {"enabled": True})
    problem(answer, 404)


NIGHT = {"from": "22:00", "until": "07:00", "time_zone": "Europe/Berlin"}


@pytest.mark.parametrize(
    "change",
    [
        {"position": 7},
        {"quiet_severities": ["low"]},
        {"quiet_severities": ["low"], "quiet_hours": NIGHT},
        {"quiet_hours": NIGHT, "position": 100},
    ],
)
def test_order_and_quiet_times_are_kept_and_null_clears_them(
    client: TestClient, user: Person, change: Preference
) -> None:
    answered = put(client, user, "sms", change)
    assert answered == {**answered, **UNSET, **change}
    assert listed(client, user)["sms"] == answered
    assert put(client, user, "sms", {"enabled": False}) == {**answered, "enabled": False, "is_enabled": False}
    sent_back = put(client, user, "sms", listed(client, user)["sms"])
    assert sent_back == listed(client, user)["sms"]
    cleared = put(client, user, "sms", dict.fromkeys(change))
    assert cleared == {**sent_back, **UNSET}


def test_severities_are_answered_once_and_most_urgent_first(client: TestClient, user: Person) -> None:
    answered = put(client, user, "sms", {"quiet_severities": ["low", "high", "low"]})
    assert answered["quiet_severities"] == ["high", "low"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"position": 0}, "/position"),
        ({"position": 101}, "/position"),
        ({"quiet_severities": ["urgent"]}, "/quiet_severities/0"),
        ({"quiet_severities": ["low"] * 21}, "/quiet_severities"),
        ({"quiet_hours": {**NIGHT, "from": "24:00"}}, "/quiet_hours/from"),
        ({"quiet_hours": {**NIGHT, "until": "7:00"}}, "/quiet_hours/until"),
        ({"quiet_hours": {**NIGHT, "until": "22:00"}}, "/quiet_hours"),
        ({"quiet_hours": {**NIGHT, "time_zone": "Mars/Phobos"}}, "/quiet_hours/time_zone"),
        ({"quiet_hours": {**NIGHT, "time_zone": "../etc/passwd"}}, "/quiet_hours/time_zone"),
        ({"quiet_hours": {"from": "22:00", "until": "07:00"}}, "/quiet_hours/time_zone"),
    ],
)
def test_an_order_or_a_quiet_time_that_means_nothing_is_refused(
    client: TestClient, user: Person, change: Preference, pointer: str
) -> None:
    answer = user.on(client).send(f"PUT {PREFERENCES}/me/sms", change)
    problem(answer, 422, pointer=pointer)


def test_a_page_goes_where_the_channel_leads(
    client: TestClient,
    admin: Person,
    add_policy: Callable[..., dict[str, Any]],
    open_incident: Callable[..., dict[str, Any]],
    tick: Callable[[], None],
    outbox: Outbox,
) -> None:
    put(client, admin, "email", {"address": "oncall@example.com"})
    add_policy()
    open_incident()
    tick()
    assert [mail.address for mail in outbox.sent] == ["oncall@example.com"]


def test_what_one_switches_off_stays_on_for_others(client: TestClient, user: Person, admin: Person) -> None:
    put(client, user, "email", {"enabled": False})
    assert listed(client, admin)["email"]["enabled"] is True


@pytest.fixture
def served(settings: Settings, own_database: Database) -> Iterator[tuple[TestClient, Person]]:
    """The API on connections of its own, and a user there."""
    services = build_services(settings, own_database, channels={"email": Outbox()})
    with TestClient(create_app(settings, services)) as client:
        account = client.post("/v1/auth/signup", json={"email": "user@example.com", "password": PASSWORD}).json()
        credentials = {"username": account["email"], "password": PASSWORD}
        tokens = client.post("/v1/auth/login/access-token", json=credentials).json()
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        yield client, Person(account["id"], account["email"], headers, tokens["refresh_token"])


def test_first_settings_of_one_channel_at_once_are_one_row(
    served: tuple[TestClient, Person], own_database: Database
) -> None:
    client, user = served
    changes: list[Preference] = [{"enabled": False}, {"address": "+15550100"}]
    jobs = [partial(put, client, user, "sms", change) for change in changes]
    answers = meeting_at(own_database, "LOCK TABLE notification_preferences IN EXCLUSIVE MODE", jobs)
    stored = listed(client, user)["sms"]
    assert (stored["enabled"], stored["address"]) == (False, "+15550100")
    assert {answer["id"] for answer in answers} == {stored["id"]}
    with own_database.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM notification_preferences")).scalar_one() == 1


def test_a_setting_knows_what_was_committed_while_it_waited(
    served: tuple[TestClient, Person], own_database: Database
) -> None:
    client, user = served
    put(client, user, "sms", {"enabled": True})
    other = "UPDATE notification_preferences SET is_enabled = false"
    [answer] = meeting_at(own_database, other, [partial(put, client, user, "sms", {"address": "+15550100"})])
    assert (answer["enabled"], answer["address"]) == (False, "+15550100")
    assert answer == listed(client, user)["sms"]
