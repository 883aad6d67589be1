"""Signing up, tokens, and recovering a password."""

from e2e.api import Json
from e2e.expectations import has, holds, lacks, same
from e2e.world import PASSWORD, World, check

GROUP = "Authentication"
SIGNUP = "POST /v1/auth/signup"
LOGIN = "POST /v1/auth/login/access-token"
TEST = "POST /v1/auth/login/test-token"
REFRESH = "POST /v1/auth/login/refresh-token"
LOGOUT = "POST /v1/auth/logout"
RECOVERY = "POST /v1/auth/password-recovery"
RESET = "POST /v1/auth/reset-password"

REFUSED: Json = {"status": 401, "code": "not_authenticated"}


def _bearer(pair: Json) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair['access_token']}"}


def _owner(world: World, pair: Json) -> object:
    return world.nobody.call(TEST, headers=_bearer(pair))["id"]


@check(GROUP, "signing up makes an ordinary account once, or is closed")
def signup(world: World) -> None:
    person = world.new_account(full_name="Ada Lovelace", phone_number="+15550100")
    answer = world.nobody.answer(SIGNUP, {**person, "is_superuser": True}, wants=(201, 403))
    if answer.status_code == 403:
        has(answer.json(), code="signup_closed")
        return
    del person["password"]
    has(answer.json(), **person, is_superuser=False, is_active=True)
    lacks(answer.json(), "password", "hash")
    again = world.new_account(email=person["email"])
    world.nobody.refused(SIGNUP, again, status=409, code="email_taken")


@check(GROUP, "signing up refuses a short password, a false address and an unknown field by their names")
def invalid_signup(world: World) -> None:
    invalid = {"password": "short", "email": "nobody", "nickname": "Ada"}
    problem = world.nobody.refused(SIGNUP, world.new_account(**invalid), status=422, code="validation_error")
    same({error["pointer"] for error in problem["errors"]}, {f"/{name}" for name in invalid}, "what is named")


@check(GROUP, "logging in with JSON gives a pair of tokens")
def login(world: World) -> None:
    pair = world.log_in(world.user.email)
    same(pair["token_type"], "bearer", "token_type")
    holds(pair["expires_in"] > 0 and pair["refresh_token"], "there is a refresh token, and an end to the access token")
    same(_owner(world, pair), world.user.id, "whose token it is")


@check(GROUP, "logging in with the OAuth2 password form gives a pair of tokens")
def login_form(world: World) -> None:
    form = {"grant_type": "password", "username": world.user.email, "password": PASSWORD, "scope": ""}
    pair = world.nobody.call(LOGIN, data=form)
    same(_owner(world, pair), world.user.id, "whose token it is")


@check(GROUP, "a wrong password and an unknown address get one answer")
def wrong_credentials(world: World) -> None:
    wrong = {"username": world.user.email, "password": "wrong"}
    unknown = {"username": world.new_account()["email"], "password": PASSWORD}
    details = {
        world.nobody.refused(LOGIN, body, status=401, code="wrong_credentials")["detail"] for body in (wrong, unknown)
    }
    same(len(details), 1, "the number of different answers")


@check(GROUP, "testing a token tells whose it is")
def token(world: World) -> None:
    user = world.user.call(TEST)
    has(user, id=world.user.id, email=world.user.email, is_active=True, is_superuser=False)
    lacks(user, "password", "hash")


@check(GROUP, "no token, a forged one and another scheme are refused")
def missing_token(world: World) -> None:
    for value in (None, "Bearer forged.by.hand", "Basic dXNlcjpwYXNz"):
        headers = {"Authorization": value} if value else {}
        world.nobody.refused("GET /v1/incidents", headers=headers, **REFUSED)


@check(GROUP, "a refresh token gives a new pair, and used twice ends its family")
def refresh(world: World) -> None:
    first = world.log_in(world.user.email)
    second = world.nobody.call(REFRESH, {"refresh_token": first["refresh_token"]})
    same(second["token_type"], "bearer", "token_type")
    same(_owner(world, second), world.user.id, "whose token the new one is")
    for spent in (first, second):
        world.nobody.refused(REFRESH, {"refresh_token": spent["refresh_token"]}, **REFUSED)


@check(GROUP, "logging out ends the refresh token and the access token")
def logout(world: World) -> None:
    pair = world.log_in(world.user.email)
    body = {"refresh_token": pair["refresh_token"]}
    holds(world.nobody.call(LOGOUT, body)["msg"], "a message comes")
    world.nobody.refused(REFRESH, body, **REFUSED)
    world.nobody.refused(TEST, headers=_bearer(pair), **REFUSED)


@check(GROUP, "password recovery answers the same for known and unknown addresses")
def recovery(world: World) -> None:
    known = world.nobody.answer(f"{RECOVERY}/{world.user.email}")
    unknown = world.nobody.answer(f"{RECOVERY}/{world.new_account()['email']}")
    same(list(known.json()), ["msg"], "the fields")
    same(unknown.content, known.content, "the answer for an unknown address")
    same(unknown.headers.keys(), known.headers.keys(), "its headers")


@check(GROUP, "a password is not reset with a token that nobody was mailed")
def reset(world: World) -> None:
    body = {"token": "guessed", "new_password": "another password"}
    world.nobody.refused(RESET, body, status=400, code="invalid_reset_token")
    holds(world.log_in(world.user.email), "the old password still counts")


@check(GROUP, "people see their sessions, and end one of them")
def sessions(world: World) -> None:
    somebody = world.new_user()
    lost = world.nobody.bearing(
        world.log_in(somebody.email)["access_token"], {"id": somebody.id, "email": somebody.email}
    )
    listed = somebody.call("GET /v1/users/me/sessions")
    same(sorted(session["is_current"] for session in listed), [False, True], "which sessions are current")
    [other] = [session for session in listed if not session["is_current"]]
    has(somebody.call(f"DELETE /v1/users/me/sessions/{other['id']}"), id=other["id"], is_current=False)
    lost.refused("GET /v1/users/me", **REFUSED)
    same(len(somebody.call("GET /v1/users/me/sessions")), 1, "the number of sessions left")


@check(GROUP, "an API key acts for whoever made it, within its scopes, until it is revoked")
def api_keys(world: World) -> None:
    somebody = world.new_user()
    body = {"name": world.new_name(), "scopes": ["read"]}
    made = somebody.call("POST /v1/api-keys", body, wants=201)
    has(made, **body, created_by=somebody.id)
    machine = world.nobody.bearing(made["key"], {"id": somebody.id, "email": somebody.email})
    has(machine.call("GET /v1/users/me"), id=somebody.id)
    incident = {"title": "End-to-end check", "severity": "low", "service": world.new_name()}
    machine.refused("POST /v1/incidents", incident, status=403, code="permission_denied")
    has(somebody.call(f"DELETE /v1/api-keys/{made['id']}"), id=made["id"], prefix=made["prefix"])
    same([key["id"] for key in somebody.call("GET /v1/api-keys")], [], "the keys left")
    machine.refused("GET /v1/users/me", **REFUSED)
