"""Starting with nothing set, on the embedded database, and coming back after whatever is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests

from tests.support.waiting import wait_until

pytestmark = pytest.mark.recovery

ROOT = Path(__file__).parents[2]
ACCOUNT = {"email": "ada@example.com", "password": "correct horse battery"}


class Installation:
    """A data directory, and the service that is started on it."""

    def __init__(self, directory: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.directory = directory
        kept = ("PATH", "HOME", "LANG")
        self.environment = {name: os.environ[name] for name in kept if name in os.environ} | {
            "DATA_DIR": str(directory),
            "PORT": str(port),
            "BCRYPT_ROUNDS": "4",
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.directory / "service.log").read_text()

    def start(self) -> None:
        with (self.directory / "service.log").open("a") as log:
            command = [sys.executable, "-m", "app", "serve"]
            self._process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
        wait_until(self.is_healthy, seconds=180)

    def end(self, how: signal.Signals) -> int:
        """Send the service a signal and wait for its end. Returns the exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        try:
            return self._process.wait(180)
        finally:
            self._process.kill()
            self._process.wait()
            self._process = None

    def is_healthy(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=5).status_code == 200
        except requests.RequestException:
            assert self._process is None or self._process.poll() is None, self.log
            return False

    def sign_up(self) -> None:
        assert requests.post(f"{self.url}/v1/auth/signup", json=ACCOUNT, timeout=60).status_code == 201

    def knows_the_account(self) -> bool:
        form = {"username": ACCOUNT["email"], "password": ACCOUNT["password"]}
        return requests.post(f"{self.url}/v1/auth/login/access-token", data=form, timeout=60).status_code == 200

    def postmaster(self) -> int | None:
        """The process id of the server, or None while there is none."""
        file = self.directory / "postgres" / "data" / "postmaster.pid"
        with suppress(FileNotFoundError, IndexError):
            return int(file.read_text().splitlines()[0])
        return None

    def servers(self) -> list[int]:
        """The PostgreSQL servers of this directory, and none of another's."""
        found = [process.info for process in psutil.process_iter(["pid", "ppid", "cmdline"])]
        mine = {info["pid"]: info["ppid"] for info in found if self._is_of(info["cmdline"] or [])}
        return [pid for pid, parent in mine.items() if parent not in mine]  # not what one has just forked

    def _is_of(self, command: list[str]) -> bool:
        return f"{self.directory}/postgres/data" in command

    def clean_up(self) -> None:
        if self._process is not None:
            self.end(signal.SIGTERM)


@pytest.fixture
def installation(tmp_path: Path, free_port: int) -> Iterator[Installation]:
    installation = Installation(tmp_path, free_port)
    yield installation
    installation.clean_up()


def test_the_first_start_needs_no_setting_and_shows_the_password_once(installation: Installation) -> None:
    installation.start()
    installation.sign_up()
    assert installation.end(signal.SIGTERM) == 0
    assert installation.servers() == []
    installation.start()
    assert len(installation.servers()) == 1
    assert installation.knows_the_account()
    assert installation.log.count("Password:") == 1


def test_a_killed_service_comes_back_with_every_row_and_no_orphan(
    installation: Installation,
) -> None:
    installation.start()
    installation.sign_up()
    installation.end(signal.SIGKILL)
    installation.start()
    assert installation.knows_the_account()
    installation.end(signal.SIGTERM)
    assert installation.servers() == []


def test_a_database_that_was_killed_is_brought_back_by_the_running_service(installation: Installation) -> None:
    installation.start()
    installation.sign_up()
    killed = installation.postmaster()
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: installation.postmaster() != killed and installation.is_healthy(), seconds=180)
    wait_until(installation.knows_the_account, seconds=60)  # a look may have begun before the kill


def test_both_killed_at_once_come_back_with_every_row(installation: Installation) -> None:
    installation.start()
    installation.sign_up()
    for server in installation.servers():
        os.kill(server, signal.SIGKILL)
    installation.end(signal.SIGKILL)
    installation.start()
    assert installation.knows_the_account()


def test_the_operators_command_makes_an_admin_while_the_service_runs(installation: Installation) -> None:
    installation.start()
    command = [sys.executable, "-m", "app", "create-admin", "root@example.com", "--password-stdin"]
    made = subprocess.run(
        command, cwd=ROOT, env=installation.environment, input=b"correct horse battery\n", check=False
    )
    assert made.returncode == 0
    form = {"username": "root@example.com", "password": "correct horse battery"}
    tokens = requests.post(f"{installation.url}/v1/auth/login/access-token", data=form, timeout=60).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert requests.get(f"{installation.url}/v1/users", headers=headers, timeout=60).status_code == 200
    assert installation.is_healthy()
