"""The operator's end-to-end checks, run as an operator would."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.db.session import connect
from run_e2e_tests import settings
from tests.e2e.conftest import ROOT, LiveServer

pytestmark = pytest.mark.e2e

ADMIN, PASSWORD = "chief@example.com", "correct horse battery"
WITH_ADMIN = {"FIRST_SUPERUSER": ADMIN, "FIRST_SUPERUSER_PASSWORD": PASSWORD, "ELASTIC_WEBHOOK_TOKEN": "secret"}
AS_ADMIN = ("--admin-email", ADMIN, "--admin-password", PASSWORD)

DESIGNED_CHECKS = 41
DESIGNED_GROUPS = {
    "Health": 2,
    "Authentication": 5,
    "User management": 7,
    "Incidents": 10,
    "Webhook": 1,
    "Notification preferences": 4,
    "Escalation": 7,
}
LEFT_BEHIND = {
    "users": "SELECT count(*) FROM users WHERE deleted_at IS NULL AND email LIKE 'e2e-%'",
    "policies": "SELECT count(*) FROM escalation_policies WHERE deleted_at IS NULL",
    "incidents": "SELECT count(*) FROM incidents WHERE status <> 'resolved'",
}


@dataclass(frozen=True)
class Run:
    """How a run of the script ended."""

    code: int
    output: str
    results: dict[str, Any]

    @property
    def failed(self) -> list[dict[str, Any]]:
        return [check for check in self.results["checks"] if not check["ok"]]


def run(url: str, directory: Path, *options: str, env: dict[str, str] | None = None) -> Run:
    results = directory / "results.json"
    command = [sys.executable, "run_e2e_tests.py", "--base-url", url, "--results", str(results), *options]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    return Run(done.returncode, done.stdout, json.loads(results.read_text()))


def left_behind(server: LiveServer) -> dict[str, int]:
    database = connect(server.env["DATABASE_URL"], pool_size=1)
    with database.connection() as connection:
        found = {name: connection.execute(text(count)).scalar_one() for name, count in LEFT_BEHIND.items()}
    database.dispose()
    return found


@pytest.mark.parametrize(
    "live_server", [WITH_ADMIN, {**WITH_ADMIN, "OPEN_SIGNUP": "false"}], ids=["open", "closed"], indirect=True
)
def test_every_check_passes_on_any_run_and_leaves_nothing_behind(live_server: LiveServer, tmp_path: Path) -> None:
    for options in ((), AS_ADMIN):
        ended = run(live_server.url, tmp_path, *options, env=live_server.env)
        assert (ended.code, ended.failed) == (0, []), ended.output
        totals = ended.results["totals"]
        assert totals["passed"] == totals["checks"] >= DESIGNED_CHECKS
        assert ended.output.splitlines()[-1] == f"{totals['passed']} passed, 0 failed"
        counted = Counter(check["group"] for check in ended.results["checks"])
        assert all(counted[group] >= count for group, count in DESIGNED_GROUPS.items()), counted
        assert all(check["ms"] > 0 and check["error"] is None for check in ended.results["checks"])
        assert left_behind(live_server) == {"users": 0, "policies": 0, "incidents": 0}


def test_a_service_that_cannot_be_reached_is_a_failure_with_a_report(tmp_path: Path, deaf_port: int) -> None:
    url = f"http://127.0.0.1:{deaf_port}"
    ended = run(url, tmp_path)
    assert ended.code == 1
    assert ended.results["totals"] == {"checks": 1, "passed": 0, "failed": 1}
    assert f"cannot reach {url}: is the service running there?" in ended.output
    assert ended.output.splitlines()[-1] == "0 passed, 1 failed"


@pytest.mark.parametrize("live_server", [WITH_ADMIN], indirect=True)
def test_a_wrong_admin_password_fails_before_anything_is_made(live_server: LiveServer, tmp_path: Path) -> None:
    ended = run(live_server.url, tmp_path, "--admin-email", ADMIN, "--admin-password", "wrong", env=live_server.env)
    assert ended.code == 1
    [failure] = ended.failed
    assert "wrong_credentials" in failure["error"]
    assert failure["error"] in ended.output
    assert left_behind(live_server) == {"users": 0, "policies": 0, "incidents": 0}


@pytest.mark.parametrize("live_server", [WITH_ADMIN], indirect=True)
def test_one_groups_failures_stop_no_other_group(live_server: LiveServer, tmp_path: Path) -> None:
    ended = run(live_server.url, tmp_path, *AS_ADMIN, "--webhook-token", "wrong", env=live_server.env)
    assert ended.code == 1
    assert {check["group"] for check in ended.failed} == {"Webhook"}
    assert ended.results["totals"]["passed"] >= DESIGNED_CHECKS
    assert ended.output.splitlines()[-1].endswith(f"passed, {len(ended.failed)} failed")


@pytest.mark.parametrize("live_server", [WITH_ADMIN], indirect=True)
def test_the_port_and_the_webhooks_secret_come_from_the_env_file(live_server: LiveServer, tmp_path: Path) -> None:
    installation = tmp_path / "installation"
    shutil.copytree(ROOT / "e2e", installation / "e2e")
    shutil.copy(ROOT / "run_e2e_tests.py", installation)
    port = live_server.url.rpartition(":")[2]
    (installation / ".env").write_text(f'PORT={port}\nELASTIC_WEBHOOK_TOKEN="secret"\n# the rest has defaults\n')
    command = [sys.executable, str(installation / "run_e2e_tests.py"), *AS_ADMIN]
    env = {"PATH": live_server.env["PATH"], "PORT": ""}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_the_environment_wins_over_the_env_file(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("PORT=1\nELASTIC_WEBHOOK_TOKEN=file\nEMPTY=\n")
    assert settings({"PORT": "2", "ELASTIC_WEBHOOK_TOKEN": ""}, dotenv) == {
        "PORT": "2",
        "ELASTIC_WEBHOOK_TOKEN": "file",
    }
    assert settings({"PORT": "2"}, tmp_path / "none") == {"PORT": "2"}
