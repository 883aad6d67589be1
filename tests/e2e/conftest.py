"""A service of its own for a test: a real process on a real socket."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
KEPT_VARIABLES = ("PATH", "HOME", "LANG")
DEADLINE_SECONDS = 180
FEW_DESCRIPTORS = 512


@dataclass(frozen=True)
class LiveServer:
    """A service that runs, and the environment that it and the operator's commands share."""

    url: str
    env: dict[str, str]
    pid: int


@pytest.fixture
def server_settings() -> dict[str, str]:
    """More settings for the `live_server` of a file's tests."""
    return {}


@pytest.fixture
def few_descriptors() -> Iterator[int]:
    """Processes that are started now get few descriptors. Gives the hard limit, up to which they may raise that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW_DESCRIPTORS, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def live_server(
    request: pytest.FixtureRequest, server_settings: dict[str, str], own_url: str, tmp_path: Path, free_port: int
) -> Iterator[LiveServer]:
    """`python -m app serve` on a database of its own. An indirect parameter gives it more settings.

    In the end it must stop by itself, with success, when it is told to.
    """
    settings: dict[str, str] = server_settings | getattr(request, "param", {})
    env = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ} | {
        "DATABASE_URL": own_url,
        "PORT": str(free_port),
        "DATA_DIR": str(tmp_path / "data"),
        "BCRYPT_ROUNDS": "4",
        "LOG_LEVEL": "WARNING",
        **settings,
    }
    log = tmp_path / "service.log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "app", "serve"]
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=output)
    server = LiveServer(f"http://127.0.0.1:{free_port}", env, process.pid)
    try:
        wait_until(lambda: _is_healthy(server, process, log), seconds=DEADLINE_SECONDS)
        yield server
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_SECONDS) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def _is_healthy(server: LiveServer, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return requests.get(f"{server.url}/health", timeout=5).status_code == 200
    except requests.RequestException:
        return False
