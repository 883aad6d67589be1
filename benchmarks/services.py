"""The services that are measured: each with a database and a port of its own, and two processes."""

import os
import secrets
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks import wire
from benchmarks.machine import free_port
from benchmarks.postgres import Postgres

ROOT = Path(__file__).resolve().parents[1]
PROCESSES = 2
USERS = 8
START_SECONDS = 60.0
STOP_SECONDS = 10.0
ANSWER_SECONDS = 3.0
NAIVE_END = ["--timeout-graceful-shutdown", "1"]  # requests that are stuck would hold it for ever
POLL_SECONDS = 0.01
ADMIN = "admin@example.com"
PEOPLE = [f"responder-{number}@example.com" for number in range(USERS)]

# One for all: what a benchmark's services keep secret is thrown away with them.
PASSWORD = secrets.token_urlsafe(16)
WEBHOOK_TOKEN = secrets.token_urlsafe(24)
SECRETS = {"SECRET_KEY": secrets.token_hex(32), "ELASTIC_WEBHOOK_TOKEN": WEBHOOK_TOKEN, "BCRYPT_ROUNDS": "4"}
OURS = {
    "HOST": wire.HOST,
    "FIRST_SUPERUSER": ADMIN,
    "FIRST_SUPERUSER_PASSWORD": PASSWORD,
    "ACCESS_TOKEN_EXPIRE_MINUTES": "1440",
    "RATE_LIMIT_ENABLED": "false",
    "WEBHOOK_ALLOW_PRIVATE_ADDRESSES": "true",  # the provider that takes the pages listens on loopback
    "WEB_CONCURRENCY": str(PROCESSES),
}


@dataclass(frozen=True)
class Kind:
    """How to start a service. `checkout` is where ours is; None for the naive one. No `.env` has a say."""

    name: str
    home: Path
    checkout: Path | None = None

    def environment(self, database_url: str, port: int, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        common = kept | SECRETS | {"PYTHONPATH": str(self.checkout or ROOT), "DATABASE_URL": database_url}
        if self.checkout is None:
            return common
        return common | OURS | {"PORT": str(port), "DATA_DIR": str(self.home / f"{self.name}-data")} | more

    def command(self, port: int) -> list[str]:
        if self.checkout is not None:
            return [sys.executable, "-m", "app", "serve"]
        where = ["--host", wire.HOST, "--port", str(port), "--workers", str(PROCESSES), *NAIVE_END]
        return [sys.executable, "-m", "uvicorn", "benchmarks.naive.main:app", "--no-access-log", *where]

    def run(self, database_url: str, *arguments: str) -> None:
        """One command of ours to its end. Raises subprocess.CalledProcessError."""
        with self.log() as log:
            command = [sys.executable, "-m", *arguments]
            environment = self.environment(database_url, 0)
            subprocess.run(command, env=environment, cwd=self.home, stdout=log, stderr=log, check=True)

    @contextmanager
    def started(self, database_url: str, port: int, *command: str, **more: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A process that runs while the block does, its output in a file; `more` are settings of its own."""
        with self.log() as log:
            environment = self.environment(database_url, port, **more)
            process = subprocess.Popen(command, env=environment, cwd=self.home, stdout=log, stderr=log)
            try:
                yield process
            finally:
                end(process)

    @contextmanager
    def log(self) -> Iterator[int]:
        descriptor = os.open(self.home / f"{self.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


@dataclass
class Service:
    """One that runs, and who uses it."""

    kind: Kind
    postgres: Postgres
    database_url: str
    port: int = 0
    tokens: list[str] = field(default_factory=list)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def name(self) -> str:
        return self.kind.name

    @property
    def url(self) -> str:
        return f"http://{wire.HOST}:{self.port}"

    def start(self) -> None:
        """Start it and log everybody in."""
        self.port = free_port()
        with self.kind.log() as log:
            environment = self.kind.environment(self.database_url, self.port)
            command = self.kind.command(self.port)
            self.process = subprocess.Popen(command, env=environment, cwd=self.kind.home, stdout=log, stderr=log)
        wait_until_it_answers(f"{self.url}/", self.process)

    def log_in(self) -> None:
        """Get a token for each of the people."""
        self.tokens = [token_of(self.url, email) for email in PEOPLE]

    def revive(self) -> None:
        """Start it again if it does not answer: threads that wait for a connection may hold it up for half a minute."""
        try:
            wire.call(f"{self.url}/v1/users/me", token=self.tokens[0], timeout=ANSWER_SECONDS)
        except (urllib.error.URLError, OSError):
            self.restart()

    def restart(self) -> None:
        print(f"{self.name} is stuck after the last measurement and is started again", file=sys.stderr)
        self.stop()
        self.start()

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)

    def resident_mib(self) -> list[float]:
        """The resident memory of each of its processes, the largest first."""
        return sorted((one.memory_info().rss / 2**20 for one in self._processes()), reverse=True)

    def cpu_seconds(self) -> float:
        """What its processes have taken of a core since their start. PostgreSQL's are not among them."""
        return sum(sum(one.cpu_times()[:2]) for one in self._processes())

    def _processes(self) -> list[psutil.Process]:
        if self.process is None:
            return []
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]


def token_of(url: str, email: str) -> str:
    """The access token of one of the people."""
    answer = wire.call(f"{url}/v1/auth/login/access-token", {"username": email, "password": PASSWORD})
    token: str = answer["access_token"]
    return token


def wait_until_it_answers(url: str, process: "subprocess.Popen[bytes]", token: str = "") -> float:
    """Ask until there is a good answer. Returns how many seconds that took; raises RuntimeError."""
    began = time.monotonic()
    while time.monotonic() < began + START_SECONDS and process.poll() is None:
        try:
            wire.call(url, token=token)
        except (urllib.error.URLError, OSError):
            time.sleep(POLL_SECONDS)
        else:
            return time.monotonic() - began
    raise RuntimeError(f"there was no answer from {url}: see its log")


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask it to end, and make it if it does not."""
    children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        for child in children:
            if child.is_running():
                child.kill()
