"""What the page behind a link shows of an incident, and what it says of a link that does not work."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.config import Settings
from app.db.session import Database
from tests.support.page_links import Linker, Reader, page, press
from tests.support.scenario import Opener, Tick, act, steps, timeline
from tests.support.world import Clock, Outbox, Person

ALERT = {"alert_id": "cpu", "alert_name": "CPU high", "severity": "high", "service": {"name": "api"}}


def comments(client: TestClient, incident: dict[str, Any], by: Person) -> list[tuple[int, str]]:
    answer = client.get(f"/v1/incidents/{incident['id']}/comments", headers=by.headers)
    return [(comment["user_id"], comment["content"]) for comment in answer.json()]


def test_the_policys_message_stands_on_the_page_of_whoever_got_it(
    client: TestClient, admin: Person, sign_up: Callable[..., Person], add_policy: Opener, open_incident: Opener,
    link_of: Linker, tick: Tick,
) -> None:  # fmt: skip
    add_policy(steps=steps(0, message="Fail over first: https://wiki.example.com/failover."))
    incident = open_incident()
    tick()
    link = '<a href="https://wiki.example.com/failover" target="_blank" rel="noopener noreferrer nofollow">'
    assert f'<p class="note">Fail over first: {link}' in page(client.get(link_of(incident, admin)))
    assert "Fail over first" not in page(client.get(link_of(incident, sign_up())))
    assert "Fail over first" not in page(client.get(link_of(incident)))


def test_a_bare_address_sees_the_message_it_was_sent(
    client: TestClient, add_policy: Opener, open_incident: Opener, link_of: Linker, tick: Tick
) -> None:
    add_policy(steps=steps(0, target="oncall@lists.example.com", message="Call the vendor."))
    incident = open_incident()
    tick()
    assert "Call the vendor." in page(client.get(link_of(incident)))


def test_the_runbooks_of_the_policies_that_page_are_linked(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, link_of: Linker
) -> None:
    runbook = "https://wiki.example.com/databases"
    add_policy(name="Databases", runbook_url=runbook)
    add_policy(name="Also databases", runbook_url=runbook)
    add_policy(name="Elsewhere", conditions={"service": "web"}, runbook_url="https://wiki.example.com/web")
    shown = page(client.get(link_of(open_incident(), admin)))
    assert re.findall(r'class="runbook" href="([^"]+)" target="_blank" rel="noopener', shown) == [runbook]
    assert "https://wiki.example.com/web" not in shown


def test_the_newest_alert_is_shown_with_its_text_and_its_fields(
    client: TestClient, user: Person, link_of: Linker, clock: Clock
) -> None:
    def post(**fields: Any) -> int:
        answer = client.post("/v1/alerts/elastic", json={**ALERT, **fields})
        incident_id: int = answer.json()["incident_id"]
        return incident_id

    post(message="CPU at 91 %", host={"name": "web-1"})
    clock.advance(minutes=5)
    incident = {"id": post(message="CPU at 99 %, see https://graphs.example.com/cpu", host={"name": "web-2"})}
    shown = page(client.get(link_of(incident, user)))
    assert '<p class="said">CPU at 99 %, see <a href="https://graphs.example.com/cpu"' in shown
    assert "<dt>host.name</dt><dd>web-2</dd>" in shown
    assert "web-1" not in shown
    assert re.search(r"2 alerts, newest <span class=\"age\"><time", shown)


def test_the_newest_alert_is_shown_beside_a_description_that_somebody_wrote(
    client: TestClient, user: Person, link_of: Linker
) -> None:
    alert = {**ALERT, "message": "CPU at 91 %"}
    incident = {"id": client.post("/v1/alerts/elastic", json=alert).json()["incident_id"]}
    user.on(client).call(f"PUT /incidents/{incident['id']}", {"description": "The batch job is stuck."})
    client.post("/v1/alerts/elastic", json={**ALERT, "message": "CPU at 99 %"})
    said = re.findall(r'<p class="said">(.*?)</p>', page(client.get(link_of(incident, user))))
    assert said == ["CPU at 99 %", "The batch job is stuck."]


def test_every_time_is_a_machine_readable_time_and_says_utc(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker
) -> None:
    incident = open_incident()
    opened = datetime.fromisoformat(incident["created_at"]).astimezone(UTC)
    shown = page(client.get(link_of(incident, user)))
    iso = opened.isoformat(timespec="seconds")
    assert f'<time datetime="{iso}">{opened.day} {opened:%b %Y, %H:%M} UTC</time>' in shown
    assert "UTC" not in re.sub(r"<time [^>]*>[^<]*</time>", "", shown)


def test_the_script_is_a_cacheable_file_beside_the_page(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker
) -> None:
    [source] = re.findall(r'<script src="([^"]+)" defer></script>', page(client.get(link_of(open_incident(), user))))
    answer = client.get(f"/p/{source}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    assert "immutable" in answer.headers["cache-control"]


def test_resolving_by_the_link_ends_the_incident_as_its_person(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker, read: Reader
) -> None:
    incident = open_incident()
    assert press(client, link_of(incident, user), "resolve").status_code == 303
    assert read(incident)["status"] == "resolved"
    entry = client.get(f"/v1/incidents/{incident['id']}/timeline", headers=user.headers).json()[0]
    assert (entry["event_type"], entry["user_id"]) == ("resolved", user.id)


def test_a_comment_by_the_link_is_the_persons_and_on_the_page(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker
) -> None:
    incident = open_incident()
    link = link_of(incident, user)
    text = "Failover runs.\r\nSee https://chat.example.com/1 <b>"
    assert press(client, link, "comment", data={"comment": text}).status_code == 303
    assert comments(client, incident, user) == [(user.id, text.replace("\r\n", "\n"))]
    shown = page(client.get(link))
    assert 'Failover runs.\nSee <a href="https://chat.example.com/1"' in shown
    assert "&lt;b&gt;" in shown


@pytest.mark.parametrize("action", ["acknowledge", "snooze", "escalate", "resolve"])
def test_what_was_typed_goes_along_with_whichever_button(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker, action: str
) -> None:
    incident = open_incident()
    typed = {"minutes": "30", "comment": "  On my way. "}
    assert press(client, link_of(incident, user), action, data=typed).status_code == 303
    assert comments(client, incident, user) == [(user.id, "On my way.")]
    assert timeline(client, incident, user)[0] == "commented"


@pytest.mark.parametrize("action", ["acknowledge", "snooze", "escalate", "resolve"])
def test_a_refused_action_keeps_no_comment(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker, action: str
) -> None:
    incident = open_incident()
    act(client, incident, "resolve", user)
    typed = {"minutes": "31", "comment": "On my way."}
    status = 303 if action == "resolve" else 422 if action == "snooze" else 409
    assert press(client, link_of(incident, user), action, data=typed).status_code == status
    assert len(comments(client, incident, user)) == (action == "resolve")


@pytest.mark.parametrize(
    ("comment", "says"),
    [("", "empty"), (" \r\n ", "empty"), ("x" * 1_001, "at most 1000 characters"), ("a\x00b", "NUL")],
    ids=["none", "blank", "too long", "NUL"],
)
def test_a_comment_that_cannot_be_kept_is_refused_with_the_reason(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker, comment: str, says: str
) -> None:
    incident = open_incident()
    assert says in page(press(client, link_of(incident, user), "comment", data={"comment": comment}), 422)
    assert comments(client, incident, user) == []


def test_a_longest_comment_of_four_byte_characters_is_kept_whole(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker
) -> None:
    incident, text = open_incident(), "\N{FIRE}" * 1_000
    assert press(client, link_of(incident, user), "comment", data={"comment": text}).status_code == 303
    assert comments(client, incident, user) == [(user.id, text)]


@pytest.mark.parametrize("action", ["acknowledge", "comment"])
def test_a_link_without_a_person_leaves_no_comment_and_says_so(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker, read: Reader, action: str
) -> None:
    incident = open_incident()
    link = link_of(incident)
    assert "<textarea" not in page(client.get(link))
    assert "no author" in page(press(client, link, action, data={"comment": "Hello"}), 403)
    assert read(incident)["status"] == "open"


@pytest.mark.parametrize(
    "behind",
    [*".,;:!)]>\"'*_", ").", "%20", "%0A", "%E2%80%A6", "%3E", "&gt;", "%E2%80%8B", "%20and%20on", "?", "?)"],
)  # fmt: skip
def test_a_link_that_was_copied_with_what_stands_behind_it_works(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker, read: Reader, behind: str
) -> None:
    incident = open_incident()
    link = link_of(incident, user)
    shown = page(client.get(link + behind))
    assert f'formaction="{link.removeprefix("/p/")}/acknowledge"' in shown
    if "?" not in behind:
        assert press(client, link + behind, "acknowledge").status_code == 303
        assert read(incident)["status"] == "acknowledged"


@pytest.mark.parametrize("behind", ["A", "0", "é", "AAAA"])
def test_a_link_with_letters_behind_it_is_another_link(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker, behind: str
) -> None:
    status = 404 if behind.isascii() else 200
    page(client.get(link_of(open_incident(), user) + behind), status)


def test_a_link_that_was_cut_off_says_to_copy_it_whole(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker
) -> None:
    assert "copy it again to its very end" in page(client.get(link_of(open_incident(), user)[:-3]), 404)


def test_a_link_that_has_expired_says_which_incident_and_what_to_do(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker, settings: Settings
) -> None:
    incident = open_incident()
    old = datetime.now(UTC) - timedelta(hours=settings.page_link_hours, minutes=5)
    said = page(client.get(link_of(incident, user, at=old)), 410)
    for part in (f"#{incident['id']}", f"{settings.page_link_hours} hours", "Open the link in the newest message"):
        assert part in said


def test_the_link_of_somebody_who_is_gone_says_whom_to_ask(
    client: TestClient, admin: Person, sign_up: Callable[..., Person], open_incident: Opener, link_of: Linker
) -> None:
    gone = sign_up()
    link = link_of(open_incident(), gone)
    client.put(f"/v1/users/{gone.id}", json={"is_active": False}, headers=admin.headers)
    assert "ask an administrator" in page(client.get(link), 403)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_link_to_a_deleted_incident_says_that_it_was_deleted(
    client: TestClient, user: Person, link_of: Linker, method: str
) -> None:
    link = link_of({"id": 2_000_000}, user)
    answer = client.get(link) if method == "GET" else press(client, link, "acknowledge")
    assert "has deleted incident #2000000" in page(answer, 404)


def test_the_record_names_people_who_have_left(
    client: TestClient, admin: Person, sign_up: Callable[..., Person], open_incident: Opener, link_of: Linker,
    outbox: Outbox, database: Database,
) -> None:  # fmt: skip
    gone = sign_up(full_name="Grace Hopper")
    incident = open_incident()
    act(client, incident, "acknowledge", gone)
    client.delete(f"/v1/users/{gone.id}", headers=admin.headers)
    assert "by Grace Hopper" in page(client.get(link_of(incident, admin)))
