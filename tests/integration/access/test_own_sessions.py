"""People see their login sessions, and end them one by one."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from structlog.testing import capture_logs

from app.core.security import Claims
from app.utils.service_locator import Services
from tests.support.answers import problem
from tests.support.world import PASSWORD, Clock, Person

SignUp = Callable[..., Person]
FIELDS = {"id", "created_at", "last_used_at", "expires_at", "sender", "user_agent", "is_current"}


def session_of(services: Services, person: Person) -> str:
    claims = services.auth.tokens.read(person.headers["Authorization"].removeprefix("Bearer "))
    assert isinstance(claims, Claims)
    return str(claims.session_id)


def test_sessions_are_listed_newest_first_with_the_current_one_marked(
    client: TestClient, services: Services, user: Person, log_in: SignUp, clock: Clock, admin: Person
) -> None:
    clock.advance(minutes=1)
    elsewhere = log_in(user.email)
    listed = elsewhere.on(client).call("GET /users/me/sessions")
    assert [session["id"] for session in listed] == [session_of(services, one) for one in (elsewhere, user)]
    assert [session["is_current"] for session in listed] == [True, False]
    assert all(session.keys() == FIELDS for session in listed)


def test_a_session_says_from_where_and_with_what_it_began(client: TestClient, user: Person) -> None:
    login = {"username": user.email, "password": PASSWORD}
    for agent, kept in ((f"curl/8.5{'x' * 300}", f"curl/8.5{'x' * 247}"), ("\tPhone\x7f ", "Phone")):
        headers = {"User-Agent": agent}
        pair = client.post("/v1/auth/login/access-token", json=login, headers=headers).json()
        bearer = {"Authorization": f"Bearer {pair['access_token']}"}
        [current] = [s for s in client.get("/v1/users/me/sessions", headers=bearer).json() if s["is_current"]]
        assert (current["sender"], current["user_agent"].strip()) == ("testclient", kept)


def test_refreshing_a_session_moves_its_last_use_and_its_end(client: TestClient, user: Person, clock: Clock) -> None:
    [before] = user.on(client).call("GET /users/me/sessions")
    assert before["created_at"] == before["last_used_at"]
    clock.advance(hours=1)
    client.post("/v1/auth/login/refresh-token", json={"refresh_token": user.refresh_token})
    [after] = user.on(client).call("GET /users/me/sessions")
    assert after["created_at"] == before["created_at"]
    assert after["last_used_at"] > before["last_used_at"]
    assert after["expires_at"] > before["expires_at"]


def test_ending_a_session_ends_its_tokens_and_no_others(
    client: TestClient, services: Services, user: Person, log_in: SignUp
) -> None:
    elsewhere = log_in(user.email)
    lost = session_of(services, elsewhere)
    elsewhere.on(client).call("GET /users/me")
    with capture_logs() as logs:
        ended = user.on(client).call(f"DELETE /users/me/sessions/{lost}")
    assert (ended["id"], ended["is_current"], ended.keys()) == (lost, False, FIELDS)
    assert [line["session_id"] for line in logs if line["event"] == "session_revoked"] == [lost]
    assert ("session.revoked", lost) in [(line.get("action"), line.get("object_id")) for line in logs]
    problem(elsewhere.on(client).send("GET /users/me"), 401)
    problem(client.post("/v1/auth/login/refresh-token", json={"refresh_token": elsewhere.refresh_token}), 401)
    assert [session["id"] for session in user.on(client).call("GET /users/me/sessions")] == [session_of(services, user)]
    problem(user.on(client).send(f"DELETE /users/me/sessions/{lost}"), 404)


def test_ending_the_current_session_logs_out(client: TestClient, services: Services, user: Person) -> None:
    ended = user.on(client).call(f"DELETE /users/me/sessions/{session_of(services, user)}")
    assert ended["is_current"] is True
    problem(user.on(client).send("GET /users/me"), 401)


def test_nobody_ends_or_sees_the_session_of_somebody_else(
    client: TestClient, services: Services, user: Person, admin: Person
) -> None:
    theirs = session_of(services, user)
    refusal = problem(admin.on(client).send(f"DELETE /users/me/sessions/{theirs}"), 404)
    assert refusal["detail"] == f"There is no session {theirs}."
    assert theirs not in [session["id"] for session in admin.on(client).call("GET /users/me/sessions")]
    user.on(client).call("GET /users/me")


@pytest.mark.parametrize("session_id", ["0c7d1a52-6a2f-4e0b-9a39-2f2ce9a4f1d3", "1", "me", "0" * 40])
def test_a_session_that_does_not_exist_is_not_found(client: TestClient, user: Person, session_id: str) -> None:
    problem(user.on(client).send(f"DELETE /users/me/sessions/{session_id}"), 404)


def test_an_expired_session_is_not_listed(client: TestClient, user: Person, log_in: SignUp, clock: Clock) -> None:
    clock.advance(days=14, minutes=1)
    later = log_in(user.email)
    assert len(later.on(client).call("GET /users/me/sessions")) == 1


def test_the_list_of_sessions_has_pages(client: TestClient, user: Person, log_in: SignUp, clock: Clock) -> None:
    for _ in range(4):
        clock.advance(seconds=1)
        log_in(user.email)
    all_of_them = user.on(client).call("GET /users/me/sessions")
    found, url = [], "/v1/users/me/sessions?limit=2"
    while url:
        answer = client.get(url, headers=user.headers)
        found += answer.json()
        url = answer.links.get("next", {}).get("url", "")
    assert found == all_of_them
    assert user.on(client).call("GET /users/me/sessions?skip=4") == all_of_them[4:]


def test_a_viewer_manages_their_own_sessions(client: TestClient, services: Services, sign_up: SignUp) -> None:
    viewer = sign_up(role="viewer")
    assert len(viewer.on(client).call("GET /users/me/sessions")) == 1
    viewer.on(client).call(f"DELETE /users/me/sessions/{session_of(services, viewer)}")
