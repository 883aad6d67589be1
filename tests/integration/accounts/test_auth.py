"""Signing up, logging in, and whose access token counts."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jose import jwt

from app.core.errors import WrongCredentials
from app.core.security import Claims, Passwords
from app.main import create_app
from app.services.accounts import auth_service
from app.utils.service_locator import Services
from tests.support.answers import problem
from tests.support.operations import OPERATIONS, WITH_LOGIN, Operation
from tests.support.world import PASSWORD, Person

LOGIN = "/v1/auth/login/access-token"
REFUSED = "The e-mail address or the password is wrong."
USER_FIELDS = {
    "id", "email", "full_name", "phone_number", "is_active", "is_superuser", "role", "is_address_proved",
    "pending_email", "warnings", "created_at", "updated_at",
}  # fmt: skip
SignUp = Callable[..., Person]


def credentials(email: str, password: str = PASSWORD) -> dict[str, str]:
    return {"username": email, "password": password}


def counts(client: TestClient, person: Person) -> bool:
    """Whether the person's access token is taken."""
    answer = person.on(client).send("GET /users/me")
    if answer.status_code != 200:
        problem(answer, 401)
    return answer.status_code == 200


def test_signing_up_answers_the_account_and_never_a_hash(client: TestClient) -> None:
    account = {"email": "Ada@EXAMPLE.com", "full_name": " Ada Lovelace ", "phone_number": "+15550100"}
    answer = client.post("/v1/auth/signup", json={**account, "password": PASSWORD})
    assert answer.status_code == 201
    user = answer.json()
    assert user.keys() == USER_FIELDS
    assert (user["email"], user["full_name"], user["phone_number"]) == ("Ada@example.com", "Ada Lovelace", "+15550100")
    assert (user["is_active"], user["is_superuser"]) == (True, False)
    assert user["created_at"] == user["updated_at"]
    assert user["created_at"].endswith("Z")
    assert PASSWORD not in answer.text


@pytest.mark.parametrize("wished", [{"is_superuser": True}, {"is_superuser": "yes", "is_active": False}, {"id": 1}])
def test_signing_up_never_grants_anything(client: TestClient, log_in: SignUp, wished: dict[str, Any]) -> None:
    account = {"email": "eve@example.com", "password": PASSWORD}
    answer = client.post("/v1/auth/signup", json={**account, **wished})
    assert (answer.status_code, answer.json()["is_superuser"], answer.json()["is_active"]) == (201, False, True)
    problem(client.get("/v1/users", headers=log_in("eve@example.com").headers), 403)


@pytest.mark.parametrize("email", ["user@example.com", "USER@example.com", "user@EXAMPLE.COM"])
def test_an_address_is_taken_in_any_spelling(client: TestClient, user: Person, email: str) -> None:
    answer = client.post("/v1/auth/signup", json={"email": email, "password": PASSWORD})
    assert problem(answer, 409)["code"] == "email_taken"
    assert counts(client, user)


def test_signing_up_is_refused_where_it_is_closed(services: Services) -> None:
    settings = services.settings.model_copy(update={"open_signup": False})
    with TestClient(create_app(settings, replace(services, settings=settings))) as client:
        answer = client.post("/v1/auth/signup", json={"email": "eve@example.com", "password": PASSWORD})
        assert problem(answer, 403)["code"] == "signup_closed"
        problem(client.post(LOGIN, json=credentials("eve@example.com")), 401)


def test_logging_in_answers_a_pair_of_tokens(client: TestClient, user: Person) -> None:
    pair = client.post(LOGIN, json=credentials(user.email)).json()
    assert pair.keys() == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (pair["token_type"], pair["expires_in"]) == ("bearer", 3600)
    claims = jwt.get_unverified_claims(pair["access_token"])
    assert claims["exp"] - claims["iat"] == pair["expires_in"]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"grant_type": "password"},
        {"grant_type": "password", "scope": "", "client_id": "", "client_secret": ""},
        {"grant_type": "", "scope": "a b", "client_id": "swagger", "client_secret": "s"},
    ],
    ids=len,
)
@pytest.mark.parametrize("form", [True, False], ids=["form", "json"])
def test_the_password_form_and_json_are_the_same(
    client: TestClient, user: Person, more: dict[str, str], form: bool
) -> None:
    body = {**credentials(user.email), **more}
    answer = client.post(LOGIN, data=body) if form else client.post(LOGIN, json=body)
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert client.post("/v1/auth/login/test-token", headers=headers).json()["email"] == user.email


@pytest.mark.parametrize(
    ("signed_up", "logged_in"),
    [
        ("user@example.com", "USER@Example.COM"),
        ("ÄÖÜ@example.com", "äöü@example.com"),
        ("ΑΣ@example.com", "ΑΣ@example.com"),
        ("İpek@example.com", "İpek@example.com"),
        ("user@bücher.example", "user@xn--bcher-kva.example"),
        ("u\u0308ser@example.com", "\u00fcser@example.com"),
    ],
)
def test_an_address_is_the_same_in_any_spelling(
    client: TestClient, sign_up: SignUp, signed_up: str, logged_in: str
) -> None:
    person = sign_up(signed_up)
    answer = client.post(LOGIN, json=credentials(logged_in))
    assert answer.status_code == 200, answer.text
    assert jwt.get_unverified_claims(answer.json()["access_token"])["sub"] == str(person.id)


@pytest.mark.parametrize("username", ["user@example.com", "nobody@example.com", "", "user", "a\x00b", "x" * 1024, "ü"])
def test_wrong_credentials_are_answered_alike(client: TestClient, user: Person, username: str) -> None:
    for password in ("wrong", "", PASSWORD.upper(), PASSWORD + " ", "a\x00b", "x" * 1024):
        found = problem(client.post(LOGIN, json=credentials(username, password)), 401)
        assert (found["code"], found["detail"]) == ("wrong_credentials", REFUSED)


@pytest.mark.parametrize("change", [{"is_active": False}, None], ids=["deactivated", "deleted"])
def test_an_account_that_is_closed_is_answered_like_a_wrong_password(
    client: TestClient, user: Person, admin: Person, change: dict[str, Any] | None
) -> None:
    close(client, user, admin, change)
    found = problem(client.post(LOGIN, json=credentials(user.email)), 401)
    assert (found["code"], found["detail"]) == ("wrong_credentials", REFUSED)


def close(client: TestClient, user: Person, admin: Person, change: dict[str, Any] | None) -> None:
    """Change an account as the administrator, or delete it."""
    url = f"/v1/users/{user.id}"
    answer = (
        client.put(url, json=change, headers=admin.headers) if change else client.delete(url, headers=admin.headers)
    )
    assert answer.status_code == 200, answer.text


class Watched(Passwords):
    """Says what is verified, and lets something happen meanwhile."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        super().__init__(rounds=4)
        self.verified: list[bool] = []
        self.meanwhile = meanwhile

    def verify(self, password: str, hashed: str | None) -> bool:
        self.verified.append(hashed is not None)
        is_right = super().verify(password, hashed)
        self.meanwhile()
        return is_right


@pytest.mark.parametrize(
    ("username", "is_known"), [("user@example.com", True), ("x@example.com", False), ("\x00", False)]
)
def test_an_unknown_address_costs_a_hash_too(services: Services, user: Person, username: str, is_known: bool) -> None:
    watched = Watched()
    auth = replace(services.auth, passwords=watched)
    with pytest.raises(WrongCredentials):
        auth_service.log_in(services.database, auth, username=username, password="wrong")
    assert watched.verified == [is_known]


@pytest.mark.parametrize("change", [{"is_active": False}, {"password": "another password"}, None], ids=str)
def test_a_login_overtaken_by_a_change_of_the_account_does_not_count(
    client: TestClient, services: Services, user: Person, admin: Person, change: dict[str, Any] | None
) -> None:
    """Else the old password would open a session that the change was to end."""
    auth = replace(services.auth, passwords=Watched(lambda: close(client, user, admin, change)))
    with pytest.raises(WrongCredentials):
        auth_service.log_in(services.database, auth, username=user.email, password=PASSWORD)


@pytest.mark.parametrize("operation", WITH_LOGIN, ids=str)
def test_without_a_token_nothing_is_answered(client: TestClient, operation: Operation) -> None:
    body: dict[str, str] | None = {} if operation.media_types else None
    found = problem(client.request(operation.method, operation.url(), json=body), 401)
    assert found["code"] == "not_authenticated"


def test_every_operation_wants_a_login_but_these() -> None:
    assert {str(operation) for operation in OPERATIONS if not operation.needs_login} == {
        "GET /",
        "GET /health",
        "GET /health/live",
        "GET /health/ready",
        "POST /v1/alerts/elastic",
        "POST /v1/auth/login/access-token",
        "POST /v1/auth/login/refresh-token",
        "POST /v1/auth/logout",
        "POST /v1/auth/password-recovery/{email}",
        "POST /v1/auth/reset-password",
        "POST /v1/auth/signup",
        "POST /v1/notifications/callbacks/twilio",
    }


@pytest.mark.parametrize(
    "header",
    [b"", b"Bearer", b"Bearer ", b"Basic dTpw", b"\xff", b"Bearer \xff", b"Bearer a.b.c", b"Bearer " + b"a" * 60_000],
    ids=lambda header: repr(header[:12]),
)
def test_an_authorization_that_is_none_is_refused(client: TestClient, header: bytes) -> None:
    answer = client.get("/v1/users/me", headers=[(b"Authorization", header)])
    problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_the_scheme_may_be_written_in_any_case(client: TestClient, user: Person) -> None:
    token = user.headers["Authorization"].removeprefix("Bearer ")
    assert client.get("/v1/users/me", headers={"Authorization": f"bEaReR {token}"}).status_code == 200


def test_a_token_expires(client: TestClient, services: Services, user: Person) -> None:
    token = user.headers["Authorization"].removeprefix("Bearer ")
    claims = services.auth.tokens.read(token)
    assert isinstance(claims, Claims)
    services.auth.tokens.lifetime = timedelta(seconds=-1)
    expired = services.auth.tokens.issue(claims)
    problem(client.get("/v1/users/me", headers={"Authorization": f"Bearer {expired}"}), 401)
    assert counts(client, user)


def test_a_token_of_somebody_elses_session_does_not_count(
    client: TestClient, services: Services, user: Person, admin: Person
) -> None:
    claims = services.auth.tokens.read(user.headers["Authorization"].removeprefix("Bearer "))
    assert isinstance(claims, Claims)
    mixed = services.auth.tokens.issue(Claims(admin.id, claims.session_id))
    problem(client.get("/v1/users", headers={"Authorization": f"Bearer {mixed}"}), 401)
