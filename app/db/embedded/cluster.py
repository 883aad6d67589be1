"""One embedded PostgreSQL cluster: creating it and starting a server on it."""

import secrets
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from app.db.embedded import privileges
from app.db.embedded.binaries import Program
from app.db.embedded.home import Home
from app.db.embedded.processes import Processes

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


class Cluster:
    """The files of one cluster and the servers started on it. Callers hold start.lock."""

    def __init__(self, home: Home, name: str) -> None:
        if not name.isidentifier():
            raise ValueError(f"{name!r} cannot name a role and a database")
        self._home = home
        self._name = name
        self._processes = Processes(home)

    def url(self, port: int) -> str:
        """Return the URL that libpq takes; the password is in it."""
        return f"postgresql://{self._name}:{self._home.password()}@127.0.0.1:{port}/{self._name}"

    def launch(self, server_lock: int, *, first_try: bool) -> subprocess.Popen[bytes]:
        """Start a server that holds server.lock, creating the cluster first if necessary. It is not ready yet."""
        data = self._home.data
        if not data.exists():
            self._make(server_lock)
        account = privileges.server_account(data)
        if privileges.owner_of(data).uid != account.uid:  # a copy that root made
            privileges.hand_over(data, account)
        port = _free_port(self._processes.last_port() if first_try else 0)
        options = ["-D", str(data), *self._settings(FIXED | {"port": str(port)})]
        return Program("postgres", options, account, data).spawn(self._home, server_lock)

    def has_lost_its_port(self) -> bool:
        """True if the server ended because another process took its port first."""
        return "could not create any TCP/IP sockets" in self._home.log.tail()

    def _make(self, server_lock: int) -> None:
        """Create the cluster in a draft directory and rename it into place, so that a half-made one is never used."""
        home = self._home
        draft = home.path / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(0o700)
        password = secrets.token_urlsafe(32)
        home.write_password(password)
        (draft / "password").write_text(password)
        account = privileges.initdb_account(privileges.server_account(home.data))
        privileges.hand_over(draft, account)
        Program("initdb", self._initdb(draft), account, draft).run(home, server_lock)
        sql = f'CREATE DATABASE "{self._name}"\n'
        Program("postgres", self._single_user(draft), account, draft).run(home, server_lock, sql)
        privileges.hand_over(draft / "data", privileges.server_account(home.data))
        (draft / "data").rename(home.data)
        home.sync()
        shutil.rmtree(draft)

    def _initdb(self, draft: Path) -> list[str]:
        login = ["-A", "scram-sha-256", "-U", self._name, f"--pwfile={draft / 'password'}"]
        return ["-D", str(draft / "data"), "--no-instructions", *LOCALE, *login, *self._settings(TUNABLES)]

    def _single_user(self, draft: Path) -> list[str]:
        return ["--single", "-D", str(draft / "data"), *self._settings({"exit_on_error": "on"}), "postgres"]

    def _settings(self, settings: dict[str, str]) -> list[str]:
        """Server options, including the mark that identifies a process as ours."""
        marked = settings | {"cluster_name": self._processes.mark}
        return [word for name, value in marked.items() for word in ("-c", f"{name}={value}")]


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        # As PostgreSQL does: connections of the last server, still closing, do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
