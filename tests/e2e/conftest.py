"""A service of its own for a test: a real process on a real socket."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
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
    log: Path


@dataclass(frozen=True)
class Alone:
    """A worker that runs, and what it says."""

    process: subprocess.Popen[bytes]
    log: Path

    def times_said(self, event: str) -> int:
        return self.log.read_text().count(event)

    def stop(self) -> int:
        """Tell it to end, and wait for it. Returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_SECONDS)


StartWorker = Callable[..., Alone]


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
    server = LiveServer(f"http://127.0.0.1:{free_port}", env, process.pid, log)
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


@pytest.fixture
def start_worker(own_url: str, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts workers on the test's database; in the end each must stop by itself, with success."""
    started: list[Alone] = []

    def start(**settings: str) -> Alone:
        env = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        env |= {"DATABASE_URL": own_url, "DATA_DIR": str(tmp_path / "data"), "LOG_LEVEL": "WARNING", **settings}
        command = [sys.executable, "-m", "app", "worker"]
        log = tmp_path / f"worker-{len(started)}.log"
        with log.open("wb") as output:
            started.append(Alone(subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=output), log))
        return started[-1]

    try:
        yield start
        assert [worker.stop() for worker in started] == [0] * len(started)
    finally:
        for worker in started:
            worker.process.kill()
            worker.process.wait()
