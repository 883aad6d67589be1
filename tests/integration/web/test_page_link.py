"""The page behind the link of a page: what it shows, and what its buttons do for whom."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from tests.support.page_links import ACTIONS, Linker, Reader, buttons, page, press
from tests.support.scenario import Opener, Tick, act, events, timeline
from tests.support.world import Clock, Outbox, Person


def test_the_link_opens_the_page_and_acknowledges_as_who_was_paged(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    add_policy()
    incident = open_incident(description="97 %")
    tick()
    path = str(outbox.sent[0].pages[0].link).removeprefix("http://127.0.0.1:8000")
    shown = page(client.get(path))
    for part in (incident["title"], "HIGH", "database", "97 %", "Open", "admin", "Incident opened"):
        assert part in shown
    assert buttons(shown) == set(ACTIONS)
    [form] = re.findall(r'action="([^"]+/acknowledge)"', shown)
    answer = client.post(f"/p/{form}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"..{path[2:]}?done=acknowledged")
    after = page(client.get(f"{path}?done=acknowledged"))
    assert "Paging has stopped." in after
    taken = r"Acknowledged</strong>\s*<br><time datetime=\"[^\"]+\">[^<]+ UTC</time> by admin"
    assert re.search(taken, after)
    assert buttons(after) == {"snooze", "escalate", "resolve", "comment"}
    entries = admin.on(client).call(f"GET /incidents/{incident['id']}/timeline")
    assert (entries[0]["event_type"], entries[0]["user_id"]) == ("acknowledged", admin.id)
    assert "through the link in a page" in entries[0]["description"]


def test_a_browser_follows_the_redirect_to_the_page(
    client: TestClient, admin: Person, open_incident: Opener, link_of: Linker
) -> None:
    link = link_of(open_incident(), admin)
    answer = client.post(f"{link}/acknowledge")
    assert answer.url.path == link
    assert "Acknowledged. Paging has stopped." in page(answer)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_link_with_a_slash_at_its_end_leads_to_the_page(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker, method: str
) -> None:
    link = link_of(open_incident(), user)
    answer = client.request(method, f"{link}/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"..{link[2:]}")
    answer = client.request(method, f"{link}/")
    assert (answer.status_code, answer.url.path) == (200, link)


@pytest.mark.parametrize(
    ("action", "done", "sentence", "after"),
    [
        ("acknowledge", "acknowledged", "Paging has stopped.", "reopen"),
        ("snooze", "snoozed", "It reopens by itself.", "acknowledge"),
        ("escalate", "escalated", "The next people are paged now.", "acknowledge"),
        ("resolve", "resolved", "Paging has stopped.", "reopen"),
        ("comment", "commented", "Your comment is saved.", "acknowledge"),
    ],
)
def test_what_was_done_is_said_for_as_long_as_it_holds(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker,
    action: str, done: str, sentence: str, after: str,
) -> None:  # fmt: skip
    incident = open_incident()
    link = link_of(incident, user)
    press(client, link, action)
    assert sentence in page(client.get(f"{link}?done={done}"))
    act(client, incident, after, user)
    assert 'class="done"' not in page(client.get(f"{link}?done={done}"))


def test_escalating_an_acknowledged_incident_shows_until_acknowledged(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker, clock: Clock
) -> None:
    incident = open_incident()
    link = link_of(incident, user)
    assert "The next people" not in page(client.get(f"{link}?done=escalated"))
    act(client, incident, "acknowledge", user)
    clock.advance(minutes=1)
    press(client, link, "escalate")
    assert "The next people are paged now." in page(client.get(f"{link}?done=escalated"))
    act(client, incident, "reopen", user)
    clock.advance(minutes=1)
    act(client, incident, "acknowledge", user)
    assert "The next people" not in page(client.get(f"{link}?done=escalated"))


def test_opening_a_link_changes_nothing(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker, read: Reader
) -> None:
    incident = open_incident()
    link, before = link_of(incident, user), read(incident)
    for method in ("GET", "HEAD"):
        assert client.request(method, link).status_code == 200
        assert client.request(method, f"{link}?done=acknowledged").status_code == 200
        for action in ACTIONS:
            answer = client.request(method, f"{link}/{action}?minutes=30", follow_redirects=False)
            assert (answer.status_code, answer.headers["location"]) == (303, f"..{link[2:]}")
    assert read(incident) == before


@pytest.mark.parametrize("action", ["acknowledge", "escalate", "resolve", "comment"])
def test_pressing_a_button_twice_is_pressing_it_once(
    client: TestClient, admin: Person, open_incident: Opener, link_of: Linker, action: str
) -> None:
    incident = open_incident()
    link = link_of(incident, admin)
    assert press(client, link, action).status_code == 303
    once = timeline(client, incident, admin)
    assert press(client, link, action).status_code == 303
    assert timeline(client, incident, admin) == once


@pytest.mark.parametrize("minutes", [15, 30, 60, 240])
def test_a_snooze_lasts_as_long_as_the_button_says(
    client: TestClient,
    user: Person,
    open_incident: Opener,
    link_of: Linker,
    read: Reader,
    minutes: int,
) -> None:
    incident = open_incident()
    assert press(client, link_of(incident, user), "snooze", data={"minutes": str(minutes)}).status_code == 303
    now = read(incident)
    assert now["status"] == "snoozed"
    length = datetime.fromisoformat(now["snoozed_until"]) - datetime.fromisoformat(now["updated_at"])
    assert length == timedelta(minutes=minutes)
    assert "Snoozed" in page(client.get(link_of(incident, user)))


@pytest.mark.parametrize(
    "body",
    [b"", b"minutes=", b"minutes=31", b"minutes=-15", b"minutes=1e1", b"minutes=" + b"9" * 6000, b"{}", b"\xff=\x00",
     "minutes=\N{ARABIC-INDIC DIGIT ONE}5".encode()],
    ids=["none", "empty", "other", "negative", "float", "huge", "json", "rubbish", "arabic digits"],
)  # fmt: skip
def test_a_snooze_of_another_length_is_refused(
    client: TestClient,
    user: Person,
    open_incident: Opener,
    link_of: Linker,
    read: Reader,
    body: bytes,
) -> None:
    incident = open_incident()
    link = link_of(incident, user)
    answer = press(client, link, "snooze", data=None, content=body)
    assert f'href="..{link[2:]}"' in page(answer, 422)
    assert read(incident)["status"] == "open"


def test_escalating_pages_the_next_step_now(
    client: TestClient,
    admin: Person,
    add_policy: Opener,
    open_incident: Opener,
    link_of: Linker,
    tick: Tick,
    outbox: Outbox,
) -> None:
    add_policy(steps=[{"delay_minutes": 60, "actions": [{"type": "notify", "target": "admins"}]}])
    incident = open_incident()
    assert press(client, link_of(incident, admin), "escalate").status_code == 303
    tick()
    assert [sent.incident_id for sent in outbox.sent] == [incident["id"]]


def test_whoever_was_paged_may_escalate(
    client: TestClient, admin: Person, sign_up: Callable[..., Person], open_incident: Opener, link_of: Linker,
    tick: Tick, outbox: Outbox,
) -> None:  # fmt: skip
    paged, incident = sign_up(), open_incident()
    assert press(client, link_of(incident, paged), "escalate").status_code == 303
    tick()
    assert [sent.address for sent in outbox.sent] == [admin.email]
    entries = paged.on(client).call(f"GET /incidents/{incident['id']}/timeline")
    [entry] = [entry for entry in entries if entry["event_type"] == "escalated_manually"]
    assert (entry["user_id"], entry["description"]) == (paged.id, "Escalated manually through the link in a page.")


def test_a_link_that_is_nobodys_own_acts_in_nobodys_name(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker
) -> None:
    incident = open_incident()
    link = link_of(incident)
    shown = page(client.get(link))
    assert buttons(shown) == {"acknowledge", "snooze", "escalate", "resolve"}
    assert "You act as" not in shown
    assert press(client, link, "acknowledge").status_code == 303
    entry = user.on(client).call(f"GET /incidents/{incident['id']}/timeline")[0]
    assert (entry["event_type"], entry["user_id"]) == ("acknowledged", None)
    assert entry["description"] == "Incident acknowledged through the link in a page."


def test_a_resolved_incident_is_shown_and_refuses_to_be_moved(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker, read: Reader
) -> None:
    incident = open_incident()
    act(client, incident, "resolve", user)
    link = link_of(incident, user)
    shown = page(client.get(link))
    assert "Resolved" in shown
    assert buttons(shown) == {"comment"}
    for action in ("acknowledge", "snooze"):
        assert f'href="..{link[2:]}"' in page(press(client, link, action), 409)
    assert read(incident)["status"] == "resolved"


def test_acting_by_the_link_resets_the_count_of_policy_cycles(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, link_of: Linker, tick: Tick,
    clock: Clock,
) -> None:  # fmt: skip
    back_and_forth = [{"type": "change_status", "status": status} for status in ("acknowledged", "open")]
    add_policy(steps=[{"delay_minutes": 0, "actions": back_and_forth}])
    incident = open_incident()
    for _ in range(10):
        tick()
    stopped_after = len(events(client, incident, admin))
    press(client, link_of(incident, admin), "snooze")
    clock.advance(hours=1)
    for _ in range(10):
        tick()
    assert len(events(client, incident, admin)) == 2 * stopped_after == 12


def test_escalating_what_is_resolved_says_that_nobody_is_paged(
    client: TestClient, admin: Person, open_incident: Opener, link_of: Linker, tick: Tick, outbox: Outbox
) -> None:
    incident = open_incident()
    act(client, incident, "resolve", admin)
    assert "nobody is paged" in page(press(client, link_of(incident, admin), "escalate"), 409)
    tick()
    assert outbox.sent == []
