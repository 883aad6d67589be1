"""The link of a page: whom it refuses, and what it never does."""

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from app.core.config import Settings
from app.main import create_app
from app.utils.service_locator import Services
from tests.support.logs import captured
from tests.support.page_links import ACTIONS, XSS, Linker, Reader, page, press
from tests.support.scenario import Opener
from tests.support.world import Clock, Person


@pytest.mark.parametrize("change", [{"is_active": False}, None], ids=["deactivated", "deleted"])
def test_the_link_of_somebody_who_is_gone_is_refused(
    client: TestClient,
    admin: Person,
    sign_up: Callable[..., Person],
    open_incident: Opener,
    link_of: Linker,
    read: Reader,
    change: dict[str, bool] | None,
) -> None:
    gone, incident = sign_up(), open_incident()
    link = link_of(incident, gone)
    page(client.get(link))
    method = "PUT" if change else "DELETE"
    assert admin.on(client).send(f"{method} /users/{gone.id}", change).is_success
    assert incident["title"] not in page(client.get(link), 403)
    for action in ACTIONS:
        page(press(client, link, action), 403)
    assert read(incident)["status"] == "open"


def forged(link: str, **parts: str) -> str:
    """The link with other parts; "next" is the number after its own."""
    names = ("incident", "user", "expires", "signature")
    old = dict(zip(names, link.removeprefix("/p/").split("."), strict=True))
    changed = {name: str(int(old[name]) + 1) if part == "next" else part for name, part in parts.items()}
    return "/p/" + ".".join({**old, **changed}.values())


@pytest.mark.parametrize(
    "change",
    [
        {"incident": "next"},
        {"user": "next"},
        {"expires": "next"},
        {"expires": "99999999999"},
        {"signature": "AAAAAAAAAAAAAAAAAAAAAA"},
        {"signature": ""},
        {"signature": "%C3%A9"},
        {"incident": "%00"},
    ],
    ids=str,
)
def test_a_forged_link_leads_nowhere(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker, change: dict[str, str]
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
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker, read: Reader
) -> None:
    one, other = open_incident(title="One"), open_incident(title="Other")
    assert "Other" not in page(client.get(link_of(one, user)))
    assert press(client, link_of(one, user), "acknowledge").status_code == 303
    assert (read(one)["status"], read(other)["status"]) == ("acknowledged", "open")


def test_a_link_is_no_session(client: TestClient, user: Person, open_incident: Opener, link_of: Linker) -> None:
    token = link_of(open_incident(), user).removeprefix("/p/")
    assert client.get("/v1/users/me", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert "set-cookie" not in client.get(f"/p/{token}").headers


def test_a_link_expires(
    client: TestClient,
    user: Person,
    open_incident: Opener,
    link_of: Linker,
    read: Reader,
    settings: Settings,
) -> None:
    incident = open_incident()
    link = link_of(incident, user, at=datetime.now(UTC) - timedelta(hours=settings.page_link_hours, minutes=5))
    assert incident["title"] not in page(client.get(link), 410)
    for action in ACTIONS:
        page(press(client, link, action), 410)
    assert read(incident)["status"] == "open"


def test_a_links_time_is_the_databases(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker, clock: Clock
) -> None:
    link = link_of(open_incident(), user)
    clock.advance(hours=71)
    page(client.get(link))
    clock.advance(hours=2)
    page(client.get(link), 410)


def test_what_other_sites_send_is_refused(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker, read: Reader
) -> None:
    incident = open_incident()
    link = link_of(incident, user)
    for action in ACTIONS:
        page(press(client, link, action, headers={"Sec-Fetch-Site": "cross-site"}), 403)
    assert read(incident)["status"] == "open"
    page(client.get(link, headers={"Sec-Fetch-Site": "cross-site"}))  # a link in a mail on the web
    assert press(client, link, "acknowledge", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 303


def test_nothing_that_is_shown_becomes_markup(
    client: TestClient, sign_up: Callable[..., Person], open_incident: Opener, link_of: Linker
) -> None:
    person = sign_up(full_name=XSS)
    incident = open_incident(title=XSS, service=XSS, description=XSS, by=person)
    shown = page(client.get(f"{link_of(incident, person)}?done={XSS}"))
    [script] = re.findall(r"<script[^>]*>", shown)
    assert re.fullmatch(r'<script src="times\.js\?v=[0-9a-f]{12}" defer>', script)
    assert shown.count("&lt;script&gt;") >= 4


def test_the_policy_allows_the_pages_own_style_and_no_other(
    client: TestClient, user: Person, open_incident: Opener, link_of: Linker
) -> None:
    answer = client.get(link_of(open_incident(), user))
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    hashed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert f"style-src 'sha256-{hashed}';" in policy
    for part in ("script-src 'self';", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in policy
    assert "style=" not in answer.text


def test_no_token_is_in_a_log(services: Services, user: Person, open_incident: Opener, link_of: Linker) -> None:
    link = link_of(open_incident(), user)
    talkative = create_app(services.settings.model_copy(update={"log_level": "DEBUG"}), services)
    with TestClient(talkative) as logged, captured() as log:
        for path in (link, "/p/secret", "/p/secret/token", "/p//secret", "/p/secret%0A/x", "/p/a/b/secret/x"):
            logged.get(path, follow_redirects=False)
            press(logged, path, "acknowledge")
            press(logged, path, "comment")
    assert "incident_moved" in log.getvalue()
    assert "/p/-/acknowledge" in log.getvalue()
    assert "/p/-/comment" in log.getvalue()
    for secret in ("secret", link.rpartition(".")[2]):
        assert secret not in log.getvalue()


def test_the_pages_are_in_no_document(client: TestClient) -> None:
    assert not [path for path in client.get("/v1/openapi.json").json()["paths"] if path.startswith("/p/")]
