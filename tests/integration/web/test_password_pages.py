"""The pages for a forgotten password: from the mail's link to the new password, without JavaScript."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from app.api.capacity import HASHES
from app.api.web.password_reset import set_password
from app.core.config import Settings
from app.db.session import Database
from app.main import create_app
from app.services.accounts.guess import LIMITS
from app.utils.service_locator import Services, build_services
from tests.support.logs import captured
from tests.support.page_links import page
from tests.support.scenario import Tick
from tests.support.world import PASSWORD, Clock, Outbox, Person

NEW = {"new_password": "another horse battery", "again": "another horse battery"}
RECOVERY = "/reset-password"
API: dict[str, tuple[str, dict[str, str] | None]] = {
    "password_reset": ("/v1/auth/reset-password", {"token": "x", "new_password": "another horse battery"}),
    "password_recovery": ("/v1/auth/password-recovery/a@b.example", None),
}
LINK = re.compile(r"^http://127\.0\.0\.1:8000(/reset-password/[\w-]{43})$", re.MULTILINE)


@pytest.fixture
def ask(client: TestClient, tick: Tick, outbox: Outbox) -> Callable[[str], str]:
    """Asks for a mail on the page, and reads the path of its link."""

    def run(email: str) -> str:
        assert post(client, RECOVERY, email=email).status_code == 303
        tick()
        [path] = LINK.findall(outbox.sent[-1].body)
        return str(path)

    return run


def post(client: TestClient, path: str, **data: str) -> Response:
    return client.post(path, data=data, follow_redirects=False)


def log_in_status(client: TestClient, email: str, password: str) -> int:
    body = {"username": email, "password": password}
    return client.post("/v1/auth/login/access-token", json=body).status_code


def test_the_link_in_the_mail_leads_to_a_form_that_sets_the_password(
    client: TestClient, user: Person, ask: Callable[[str], str]
) -> None:
    path = ask(user.email)
    shown = page(client.get(path))
    assert re.findall(r'<input[^>]* name="(\w+)"', shown) == ["new_password", "again"]
    assert 'action="' not in shown  # it posts to its own address
    assert user.email in shown
    answer = client.post(path, data=NEW)
    assert answer.url.path == RECOVERY
    assert "Log in again" in page(answer)
    assert log_in_status(client, user.email, PASSWORD) == 401
    assert log_in_status(client, user.email, NEW["new_password"]) == 200
    assert client.get("/v1/users/me", headers=user.headers).status_code == 401


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_opening_the_link_spends_nothing(
    client: TestClient, user: Person, ask: Callable[[str], str], method: str
) -> None:
    path = ask(user.email)
    for _ in range(3):
        assert client.request(method, path).status_code == 200
    assert post(client, path, **NEW).status_code == 303


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({}, "must have at least 8 characters"),
        ({"new_password": "short", "again": "short"}, "must have at least 8 characters"),
        ({**NEW, "again": "another horse batters"}, "two passwords differ"),
        ({"new_password": NEW["new_password"]}, "two passwords differ"),
        ({"new_password": "x" * 1025, "again": "x" * 1025}, "at most 1024 characters"),
    ],
    ids=["empty", "short", "differ", "once", "long"],
)
def test_a_refused_password_shows_the_form_again_with_the_reason(
    client: TestClient, user: Person, ask: Callable[[str], str], form: dict[str, str], says: str
) -> None:
    path = ask(user.email)
    shown = page(post(client, path, **form), 422)
    assert says in shown
    assert 'name="again"' in shown
    assert all(value not in shown for value in form.values())
    assert post(client, path, **NEW).status_code == 303


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_link_that_was_used_offers_to_send_a_new_one(
    client: TestClient, user: Person, ask: Callable[[str], str], method: str
) -> None:
    path = ask(user.email)
    post(client, path, **NEW)
    answer = client.get(path) if method == "GET" else post(client, path, **NEW)
    shown = page(answer, 400)
    assert "was used before" in shown
    assert '<form method="post" action="../reset-password">' in shown


def test_a_link_that_has_expired_offers_to_send_a_new_one(
    client: TestClient, user: Person, ask: Callable[[str], str], clock: Clock
) -> None:
    path = ask(user.email)
    clock.advance(minutes=30)
    assert "has expired" in page(client.get(path), 400)
    assert "has expired" in page(post(client, path, **NEW), 400)
    assert log_in_status(client, user.email, PASSWORD) == 200


@pytest.mark.parametrize("token", ["x", "%00", "%F0%9F%92%A9", "x" * 5000, "%2e%2e", "<b>"])
def test_what_is_no_token_is_a_page_too(client: TestClient, token: str) -> None:
    page(client.get(f"{RECOVERY}/{token}"), 400)
    page(post(client, f"{RECOVERY}/{token}", **NEW), 400)


@pytest.mark.parametrize("behind", [".", ")", ">", "%20", "&gt;", "%E2%80%A6"])
def test_a_link_that_was_copied_with_what_stands_behind_it_works(
    client: TestClient, user: Person, ask: Callable[[str], str], behind: str
) -> None:
    path = ask(user.email) + behind
    page(client.get(path))
    assert post(client, path, **NEW).status_code == 303


@pytest.mark.parametrize("path", [RECOVERY, f"{RECOVERY}/{'x' * 43}"])
def test_a_slash_at_the_end_leads_to_the_page(client: TestClient, path: str) -> None:
    answer = client.get(f"{path}/")
    assert answer.url.path == path


def test_asking_for_a_mail_tells_nobody_whether_the_address_is_known(
    client: TestClient, user: Person, tick: Tick, outbox: Outbox
) -> None:
    answers = [client.post(RECOVERY, data={"email": email}) for email in (user.email, "nobody@example.com")]
    assert page(answers[0]) == page(answers[1])
    assert "If there is an account" in answers[0].text
    tick()
    assert [mail.address for mail in outbox.sent] == [user.email]


@pytest.mark.parametrize("email", ["", "ada", "ada@", "a@b\x00.example"])
def test_an_address_that_is_none_is_refused_with_the_reason(client: TestClient, email: str) -> None:
    shown = page(post(client, RECOVERY, email=email), 422)
    assert "e-mail address" in shown
    assert 'name="email"' in shown


@pytest.mark.parametrize(
    ("action", "ask_once"),
    [
        ("password_reset", lambda client, number: client.get(f"{RECOVERY}/{number}")),
        ("password_reset", lambda client, number: post(client, f"{RECOVERY}/{number}", **NEW)),
        ("password_recovery", lambda client, number: post(client, RECOVERY, email=f"{number}@example.com")),
    ],
    ids=["open", "set", "mail"],
)
def test_the_pages_share_the_limits_of_the_api(
    settings: Settings, database: Database, action: str, ask_once: Callable[[TestClient, int], Any]
) -> None:
    limited = settings.model_copy(update={"rate_limit_enabled": True})
    services = build_services(limited, database, channels={"email": Outbox()})
    with TestClient(create_app(limited, services)) as client:
        for number in range(LIMITS[action].sender.free):
            assert ask_once(client, number).status_code != 429
        answer = ask_once(client, 1000)
        assert int(answer.headers["retry-after"]) > 0
        page(answer, 429)
        api = {
            "password_reset": "/v1/auth/reset-password",
            "password_recovery": "/v1/auth/password-recovery/a@b.example",
        }
        body = {"token": "x", "new_password": NEW["new_password"]}
        assert client.post(api[action], json=body if action == "password_reset" else None).status_code == 429


def test_what_other_sites_send_is_refused(client: TestClient, user: Person, ask: Callable[[str], str]) -> None:
    path = ask(user.email)
    for where in (path, RECOVERY):
        page(client.post(where, data=NEW, headers={"Sec-Fetch-Site": "cross-site"}), 403)
    assert log_in_status(client, user.email, PASSWORD) == 200


def test_no_token_of_a_mail_is_in_a_log(services: Services, user: Person, ask: Callable[[str], str]) -> None:
    path = ask(user.email)
    talkative = create_app(services.settings.model_copy(update={"log_level": "DEBUG"}), services)
    with TestClient(talkative) as logged, captured() as log:
        for where in (path, f"{RECOVERY}/secret", f"{RECOVERY}/secret/x", f"{RECOVERY}/a/b/secret%0A", f"{path}/"):
            logged.get(where, follow_redirects=False)
            post(logged, where, **NEW)
    assert "/reset-password/-" in log.getvalue()
    for secret in ("secret", path.rpartition("/")[2], NEW["new_password"]):
        assert secret not in log.getvalue()


def test_setting_a_password_waits_for_its_turn_to_hash() -> None:
    assert hasattr(set_password, HASHES)


def test_the_pages_are_in_no_document(client: TestClient) -> None:
    assert RECOVERY not in client.get("/v1/openapi.json").json()["paths"]
