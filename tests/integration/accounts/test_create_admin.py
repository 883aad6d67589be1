"""The operator's command `create-admin`, above all on an account that somebody else may have made."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.core.config import Settings
from app.db.session import Database
from app.main import create_app
from app.utils.service_locator import build_services
from tests.support.answers import problem
from tests.support.world import PASSWORD, Outbox

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
BOSS = "boss@example.com"
LOGIN = "/v1/auth/login/access-token"
Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(own_url: str, tmp_path: Path) -> Command:
    """Runs the command on the test's own database. Returns its exit code and what it said."""

    def run(email: str, password: str | None = None) -> tuple[int, str]:
        line = [sys.executable, "-m", "app", "create-admin", email]
        done = subprocess.run(
            [*line, *(["--password-stdin"] if password is not None else [])],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": own_url, "BCRYPT_ROUNDS": "4"},
            input=f"{password}\n",
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr

    return run


@pytest.fixture
def client(settings: Settings, own_database: Database) -> TestClient:
    return TestClient(create_app(settings, build_services(settings, own_database, channels={"email": Outbox()})))


def log_in(client: TestClient, password: str) -> int:
    return client.post(LOGIN, json={"username": BOSS, "password": password}).status_code


def shown_password(said: str) -> str:
    [line] = [line for line in said.splitlines() if "Password:" in line]
    return line.split()[-1]


@pytest.mark.parametrize("given", [None, "a third password"], ids=["made", "given"])
def test_who_signed_up_as_the_boss_does_not_become_an_administrator(
    client: TestClient, command: Command, given: str | None
) -> None:
    account = {"email": BOSS, "password": PASSWORD, "phone_number": "+15550166"}
    assert client.post("/v1/auth/signup", json=account).status_code == 201
    pair = client.post(LOGIN, json={"username": BOSS, "password": PASSWORD}).json()
    squatter = {"Authorization": f"Bearer {pair['access_token']}"}
    url = "/v1/notification-preferences/me/email"
    assert client.put(url, json={"address": "eve@example.com"}, headers=squatter).status_code == 200

    code, said = command(BOSS, given)
    assert code == 0
    assert "already existed" in said
    assert log_in(client, PASSWORD) == 401
    problem(client.get("/v1/users/me", headers=squatter), 401)
    problem(client.post("/v1/auth/login/refresh-token", json={"refresh_token": pair["refresh_token"]}), 401)

    password = given or shown_password(said)
    pair = client.post(LOGIN, json={"username": BOSS, "password": password}).json()
    boss = {"Authorization": f"Bearer {pair['access_token']}"}
    found = client.get("/v1/users/me", headers=boss).json()
    assert (found["is_superuser"], found["is_address_proved"], found["phone_number"]) == (True, True, None)
    assert {row["address"] for row in client.get(url.rpartition("/")[0], headers=boss).json()} == {None}


def test_a_new_administrator_is_not_said_to_have_been_there(client: TestClient, command: Command) -> None:
    code, said = command(BOSS, PASSWORD)
    assert (code, "already existed" in said, "Password:" in said) == (0, False, False)
    assert log_in(client, PASSWORD) == 200


def test_it_names_the_database_without_its_password(command: Command, own_database: Database, own_url: str) -> None:
    _, said = command(BOSS, PASSWORD)
    assert f"/{own_url.rpartition('/')[2].partition('?')[0]}" in said
    assert "Database: postgresql" in said


def test_a_common_password_is_refused(client: TestClient, command: Command) -> None:
    code, said = command(BOSS, "Password1")
    assert code == 2
    assert "most common passwords" in said
    assert "Password1" not in said
    assert log_in(client, "Password1") == 401
