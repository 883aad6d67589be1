"""Which channel comes first, and when one is left out because it is quiet."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core import channel as registry
from app.utils.service_locator import Services
from tests.support.answers import problem
from tests.support.preferences import DEAD, ME, at_noon, put
from tests.support.scenario import Opener, Tick, act, events, steps
from tests.support.world import ADMIN, Clock, Outbox, Person


@pytest.fixture
def services(two_channels: Services) -> Services:
    return two_channels


def order(client: TestClient, by: Person, *channels: str) -> dict[str, int | None]:
    """Put channels first; the positions that are answered."""
    answer = client.put(ME, json={"channels": channels}, headers=by.headers)
    assert answer.status_code == 200, answer.text
    assert answer.json() == client.get(ME, headers=by.headers).json()
    return {row["channel"]: row["position"] for row in answer.json()}


def test_channels_are_put_in_order_in_one_go(client: TestClient, on_call: Person) -> None:
    put(client, on_call, "slack", enabled=False, position=1)
    assert order(client, on_call, "sms", "email") == {
        "email": 2, "sms": 1, "push": None, "webhook": None, "slack": None, "teams": None
    }  # fmt: skip
    assert order(client, on_call, "teams")["teams"] == 1
    assert client.get(ME, headers=on_call.headers).json()[4]["enabled"] is False
    assert set(order(client, on_call).values()) == {None}


def test_an_order_of_nothing_changes_nothing(client: TestClient, on_call: Person) -> None:
    order(client, on_call, "sms", "email")
    answer = client.put(ME, json={}, headers=on_call.headers)
    assert [row["position"] for row in answer.json()][:2] == [2, 1]


@pytest.mark.parametrize(
    ("channels", "pointer"),
    [
        (["sms", "pager"], "/channels/1"),
        (["sms", "email", "sms"], "/channels"),
        (["apprise"], "/channels/0"),
        ("sms", "/channels"),
    ],
)
def test_an_order_with_an_unknown_or_repeated_channel_is_refused(
    client: TestClient, on_call: Person, channels: Any, pointer: str
) -> None:
    problem(client.put(ME, json={"channels": channels}, headers=on_call.headers), 422, pointer=pointer)


def test_only_administrators_set_an_optional_channel(client: TestClient, user: Person, admin: Person) -> None:
    [optional] = [channel.name for channel in registry.CHANNELS if channel.is_optional]
    problem(client.put(f"{ME}/{optional}", json={"enabled": True}, headers=user.headers), 403)
    put(client, admin, optional, enabled=False)
    address = f"/v1/notification-preferences/{user.id}/{optional}"
    assert client.put(address, json={"enabled": False}, headers=admin.headers).status_code == 200


def test_a_page_goes_by_the_channel_that_comes_first(
    client: TestClient,
    on_call: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    outbox: Outbox,
    sms: Outbox,
) -> None:
    order(client, on_call, "sms", "email")
    add_policy(steps=steps(0, target=on_call.id))
    open_incident()
    tick()
    assert ([mail.address for mail in outbox.sent], [text.address for text in sms.sent]) == ([], ["+15550100"])


def test_a_page_that_fails_goes_by_the_channel_that_comes_next(
    client: TestClient,
    on_call: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    outbox: Outbox,
    sms: Outbox,
) -> None:
    order(client, on_call, "sms", "email")
    sms.answers = [DEAD]
    add_policy(steps=steps(0, target=on_call.id))
    open_incident()
    tick()
    tick()
    assert [mail.address for mail in outbox.sent] == [on_call.email]


@pytest.mark.parametrize(
    ("hours", "severity", "channel"),
    [
        (None, "low", "email"),
        (None, "high", "sms"),
        (("11:00", "13:00", "UTC"), "low", "email"),
        (("11:00", "13:00", "UTC"), "medium", "sms"),
        (("13:00", "11:00", "UTC"), "low", "sms"),
        (("13:00", "14:30", "Etc/GMT-2"), "low", "email"),  # two hours east of Greenwich
        (("11:00", "13:00", "Etc/GMT-2"), "low", "sms"),
    ],
)
def test_a_quiet_channel_is_passed_over(
    client: TestClient,
    on_call: Person,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    clock: Clock,
    outbox: Outbox,
    sms: Outbox,
    hours: tuple[str, str, str] | None,
    severity: str,
    channel: str,
) -> None:
    named = dict(zip(("from", "until", "time_zone"), hours, strict=True)) if hours else None
    put(client, on_call, "sms", position=1, quiet_severities=["low"], quiet_hours=named)
    add_policy(steps=steps(0, target=on_call.id))
    at_noon(clock)
    incident = open_incident(severity=severity)
    tick()
    assert ["email"] * len(outbox.sent) + ["sms"] * len(sms.sent) == [channel]
    [event] = events(client, incident, admin)
    expected = [{"recipient": f"user:{on_call.id}", "recipient_name": "On Call", "channel": "sms", "reason": "quiet"}]
    assert event["metadata"]["skipped"] == (expected if channel == "email" else [])


@pytest.fixture
def all_quiet(client: TestClient, admin: Person) -> Person:
    """The only person there is wants no page of this severity."""
    for channel in ("email", "sms"):
        put(client, admin, channel, quiet_severities=["low"])
    return admin


def test_when_nobody_else_is_reached_nothing_is_quiet(
    all_quiet: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    add_policy(steps=steps(0))
    open_incident(severity="low")
    tick()
    [page] = outbox.sent
    assert page.address == ADMIN
    assert "no policy reaches anybody" in page.body


def test_a_page_that_somebody_asks_for_is_not_quiet(
    client: TestClient,
    all_quiet: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    outbox: Outbox,
) -> None:
    add_policy(steps=steps(60))
    incident = open_incident(severity="low")
    tick()
    assert outbox.sent == []
    act(client, incident, "escalate", all_quiet)
    tick()
    [page] = outbox.sent
    assert "no policy reaches anybody" not in page.body


def test_a_fallback_does_not_wake_by_a_quiet_channel(
    client: TestClient,
    on_call: Person,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
    outbox: Outbox,
    sms: Outbox,
) -> None:
    put(client, on_call, "sms", quiet_severities=["low"])
    outbox.answers = [DEAD]
    add_policy(steps=steps(0, target=on_call.id))
    open_incident(severity="low")
    tick()
    tick()
    assert sms.sent == []
    assert [mail.address for mail in outbox.sent] == [on_call.email, ADMIN]
