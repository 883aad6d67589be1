"""Starts the service as an operator would, for a benchmark: its own database, its own port."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_SECONDS = 120.0
STOP_SECONDS = 60.0


@contextmanager
def running_service(**settings: str) -> Iterator[str]:
    """The base URL of a service that runs while the block does, on an embedded database that is thrown away."""
    with tempfile.TemporaryDirectory() as directory:
        base_url = f"http://127.0.0.1:{_free_port()}"
        environment = os.environ | {
            "DATA_DIR": directory,
            "DATABASE_URL": os.environ.get("DATABASE_URL", ""),
            "PORT": base_url.rpartition(":")[2],
            "BCRYPT_ROUNDS": "4",
            **settings,
        }
        with (Path(directory) / "service.log").open("w") as log:
            process = subprocess.Popen([sys.executable, "-m", "app", "serve"], env=environment, stdout=log, stderr=log)
            try:
                _wait_until_healthy(base_url, process)
                yield base_url
            finally:
                process.terminate()
                process.wait(STOP_SECONDS)


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """Post JSON, get JSON."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        result: dict[str, Any] = json.load(answer)
    return result


def access_token(base_url: str) -> str:
    """The token of a new user."""
    email, password = f"bench-{time.time_ns()}@example.com", "benchmark password"
    post(f"{base_url}/v1/auth/signup", {"email": email, "password": password})
    token: str = post(f"{base_url}/v1/auth/login/access-token", {"username": email, "password": password})[
        "access_token"
    ]
    return token


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_until_healthy(base_url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{base_url}/health", timeout=2).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the service did not become healthy")
