"""The page behind the link of a page: what it shows, what it does for whom, and what it never does."""

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app.core.config import Settings
from app.core.security import PageLink, PageLinks
from app.main import create_app
from app.utils.service_locator import Services
from tests.conftest import Clock, Outbox, Person
from tests.logs import captured
from tests.scenario import Opener, Tick, act, timeline

XSS = '<script>alert("x")</script>'
ACTIONS = ("acknowledge", "snooze", "escalate")
MINUTES = {"minutes": "30"}


@pytest.fixture
def link_of(settings: Settings) -> Callable[..., str]:
    """The path of a link to an incident, by default nobody's own and made now."""

    def run(incident: dict[str, Any], user: Person | None = None, *, at: datetime | None = None) -> str:
        links = PageLinks(settings)
        url = links.url(PageLink(incident["id"], user.id if user else None), at=at or datetime.now(UTC))
        return url.removeprefix(settings.public_url)

    return run


@pytest.fixture
def read(client: TestClient, user: Person) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """An incident as it is now."""

    def run(incident: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = client.get(f"/v1/incidents/{incident['id']}", headers=user.headers).json()
        return found

    return run


def page(answer: Response, status: int = 200) -> str:
    """The text of a page, with the headers that every one has."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "noindex" in answer.headers["x-robots-tag"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    text: str = answer.text
    return text


def press(client: TestClient, link: str, action: str, **options: Any) -> Response:
    data = MINUTES if action == "snooze" else None
    return client.post(f"{link}/{action}", follow_redirects=False, **{"data": data, **options})


def buttons(text: str) -> set[str]:
    return {action for action in ACTIONS if f'/{action}">' in text}


def test_the_link_in_a_page_opens_it_and_acknowledges_as_the_one_who_was_paged(
    client: TestClient, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick, outbox: Outbox
) -> None:
    add_policy()
    incident = open_incident(description="97 %")
    tick()
    path = outbox.sent[0].facts["link"].removeprefix("http://127.0.0.1:8000")
    shown = page(client.get(path))
    for part in (incident["title"], "HIGH", "database", "97 %", "Open", admin.email, "Incident opened"):
        assert part in shown
    assert buttons(shown) == set(ACTIONS)
    [form] = re.findall(r'action="([^"]+/acknowledge)"', shown)
    answer = client.post(f"/p/{form}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"..{path[2:]}?done=acknowledged")
    after = page(client.get(f"{path}?done=acknowledged"))
    assert "Nobody is paged any further." in after
    assert re.search(rf"acknowledged [^<]+ by {re.escape(admin.email)}", after)
    assert buttons(after) == {"snooze", "escalate"}
    entries = client.get(f"/v1/incidents/{incident['id']}/timeline", headers=admin.headers).json()
    assert (entries[0]["event_type"], entries[0]["user_id"]) == ("acknowledged", admin.id)
    assert "by the link of a page" in entries[0]["description"]


def test_a_browser_follows_the_redirect_to_the_page(
    client: TestClient, admin: Person, open_incident: Opener, link_of: Callable[..., str]
) -> None:
    link = link_of(open_incident(), admin)
    answer = client.post(f"{link}/acknowledge")
    assert answer.url.path == link
    assert "Acknowledged. Nobody" in page(answer)


def test_opening_a_link_changes_nothing(
    client: TestClient, user: Person, open_incident: Opener, link_of: Callable[..., str], read: Callable[..., Any]
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


@pytest.mark.parametrize("action", ["acknowledge", "escalate"])
def test_pressing_a_button_twice_is_pressing_it_once(
    client: TestClient, admin: Person, open_incident: Opener, link_of: Callable[..., str], action: str
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
    link_of: Callable[..., str],
    read: Callable[..., Any],
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
    link_of: Callable[..., str],
    read: Callable[..., Any],
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
    link_of: Callable[..., str],
    tick: Tick,
    outbox: Outbox,
) -> None:
    add_policy(steps=[{"delay_minutes": 60, "actions": [{"type": "notify", "target": "admins"}]}])
    incident = open_incident()
    assert press(client, link_of(incident, admin), "escalate").status_code == 303
    tick()
    assert [sent.incident_id for sent in outbox.sent] == [incident["id"]]


def test_who_may_not_escalate_is_offered_no_button_and_refused(
    client: TestClient, sign_up: Callable[..., Person], open_incident: Opener, link_of: Callable[..., str]
) -> None:
    link = link_of(open_incident(), sign_up())
    assert buttons(page(client.get(link))) == {"acknowledge", "snooze"}
    page(press(client, link, "escalate"), 403)


def test_a_link_that_is_nobodys_own_acknowledges_and_snoozes_only(
    client: TestClient, user: Person, open_incident: Opener, link_of: Callable[..., str]
) -> None:
    incident = open_incident()
    link = link_of(incident)
    shown = page(client.get(link))
    assert buttons(shown) == {"acknowledge", "snooze"}
    assert "You act as" not in shown
    page(press(client, link, "escalate"), 403)
    assert press(client, link, "acknowledge").status_code == 303
    entry = client.get(f"/v1/incidents/{incident['id']}/timeline", headers=user.headers).json()[0]
    assert (entry["event_type"], entry["user_id"]) == ("acknowledged", None)
    assert entry["description"] == "Incident acknowledged by the link of a page."


@pytest.mark.parametrize("change", [{"is_active": False}, None], ids=["deactivated", "deleted"])
def test_the_link_of_somebody_who_is_gone_is_refused(
    client: TestClient,
    admin: Person,
    sign_up: Callable[..., Person],
    open_incident: Opener,
    link_of: Callable[..., str],
    read: Callable[..., Any],
    change: dict[str, bool] | None,
) -> None:
    gone, incident = sign_up(), open_incident()
    link = link_of(incident, gone)
    page(client.get(link))
    method = "PUT" if change else "DELETE"
    assert client.request(method, f"/v1/users/{gone.id}", json=change, headers=admin.headers).is_success
    assert incident["title"] not in page(client.get(link), 403)
    for action in ACTIONS:
        page(press(client, link, action), 403)
    assert read(incident)["status"] == "open"


def forged(link: str, **parts: str) -> str:
    names = ("incident", "user", "expires", "signature")
    old = dict(zip(names, link.removeprefix("/p/").split("."), strict=True))
    return "/p/" + ".".join({**old, **parts}.values())


@pytest.mark.parametrize(
    "change",
    [
        {"incident": "2"},
        {"user": "1"},
        {"expires": "99999999999"},
        {"signature": "AAAAAAAAAAAAAAAAAAAAAA"},
        {"signature": ""},
        {"signature": "%C3%A9"},
        {"incident": "%00"},
    ],
    ids=str,
)
def test_a_forged_link_leads_nowhere(
    client: TestClient, user: Person, open_incident: Opener, link_of: Callable[..., str], change: dict[str, str]
) -> None:
    incident = open_incident()
    link = forged(link_of(incident, user), **change)
    assert incident["title"] not in page(client.get(link), 404)
    for action in ACTIONS:
        page(press(client, link, action), 404)


@pytest.mark.parametrize("token", ["x", "...", "0.0.0.0", "%2e%2e", "%F0%9F%92%A9", "x" * 5000])
def test_what_is_no_link_is_a_page_too(client: TestClient, token: str) -> None:
    page(client.get(f"/p/{token}"), 404)


def test_a_link_acts_on_its_own_incident_only(
    client: TestClient, user: Person, open_incident: Opener, link_of: Callable[..., str], read: Callable[..., Any]
) -> None:
    one, other = open_incident(title="One"), open_incident(title="Other")
    assert "Other" not in page(client.get(link_of(one, user)))
    assert press(client, link_of(one, user), "acknowledge").status_code == 303
    assert (read(one)["status"], read(other)["status"]) == ("acknowledged", "open")


def test_a_link_is_no_session(
    client: TestClient, user: Person, open_incident: Opener, link_of: Callable[..., str]
) -> None:
    token = link_of(open_incident(), user).removeprefix("/p/")
    assert client.get("/v1/users/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert "set-cookie" not in client.get(f"/p/{token}").headers


def test_a_link_expires(
    client: TestClient,
    user: Person,
    open_incident: Opener,
    link_of: Callable[..., str],
    read: Callable[..., Any],
    settings: Settings,
) -> None:
    incident = open_incident()
    link = link_of(incident, user, at=datetime.now(UTC) - timedelta(hours=settings.page_link_hours, minutes=5))
    assert incident["title"] not in page(client.get(link), 410)
    for action in ACTIONS:
        page(press(client, link, action), 410)
    assert read(incident)["status"] == "open"


def test_a_links_time_is_the_databases(
    client: TestClient, user: Person, open_incident: Opener, link_of: Callable[..., str], clock: Clock
) -> None:
    link = link_of(open_incident(), user)
    clock.advance(hours=71)
    page(client.get(link))
    clock.advance(hours=2)
    page(client.get(link), 410)


def test_a_resolved_incident_is_shown_and_refuses_to_be_moved(
    client: TestClient, user: Person, open_incident: Opener, link_of: Callable[..., str], read: Callable[..., Any]
) -> None:
    incident = open_incident()
    act(client, incident, "resolve", user)
    link = link_of(incident, user)
    shown = page(client.get(link))
    assert "Resolved" in shown
    assert buttons(shown) == set()
    for action in ("acknowledge", "snooze"):
        assert f'href="..{link[2:]}"' in page(press(client, link, action), 409)
    assert read(incident)["status"] == "resolved"


def test_what_other_sites_send_is_refused(
    client: TestClient, user: Person, open_incident: Opener, link_of: Callable[..., str], read: Callable[..., Any]
) -> None:
    incident = open_incident()
    link = link_of(incident, user)
    for action in ACTIONS:
        page(press(client, link, action, headers={"Sec-Fetch-Site": "cross-site"}), 403)
    assert read(incident)["status"] == "open"
    page(client.get(link, headers={"Sec-Fetch-Site": "cross-site"}))  # a link in a mail on the web
    assert press(client, link, "acknowledge", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303


def test_nothing_that_is_shown_becomes_markup(
    client: TestClient, sign_up: Callable[..., Person], open_incident: Opener, link_of: Callable[..., str]
) -> None:
    person = sign_up(full_name=XSS)
    incident = open_incident(title=XSS, service=XSS, description=XSS, by=person)
    shown = page(client.get(f"{link_of(incident, person)}?done={XSS}"))
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") >= 4


def test_the_policy_allows_the_pages_own_style_and_no_other(
    client: TestClient, user: Person, open_incident: Opener, link_of: Callable[..., str]
) -> None:
    answer = client.get(link_of(open_incident(), user))
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert f"style-src 'sha256-{hashed}';" in policy
    for part in ("form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in policy
    assert "style=" not in answer.text


def test_no_token_is_in_a_log(
    services: Services, user: Person, open_incident: Opener, link_of: Callable[..., str]
) -> None:
    link = link_of(open_incident(), user)
    talkative = create_app(services.settings.model_copy(update={"log_level": "DEBUG"}), services)
    with TestClient(talkative) as logged, captured() as log:
        for path in (link, "/p/secret", "/p/secret/token", "/p//secret", "/p/secret%0A/x", "/p/a/b/secret/x"):
            logged.get(path, follow_redirects=False)
            press(logged, path, "acknowledge")
    assert "incident_moved" in log.getvalue()
    assert "/p/-/acknowledge" in log.getvalue()
    for secret in ("secret", link.rpartition(".")[2]):
        assert secret not in log.getvalue()


def test_the_pages_are_in_no_document(client: TestClient) -> None:
    assert not [path for path in client.get("/v1/openapi.json").json()["paths"] if path.startswith("/p/")]
