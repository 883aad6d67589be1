"""The directory of one embedded PostgreSQL: who owns it, its files and its log."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from app.db.embedded import privileges

LOG_BYTES = 5_000_000
LOG_TAIL_BYTES = 2_000


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot run; the message tells the operator why and what to do."""


class Home:
    """The directory of one server. Its files belong to its owner, even when root creates them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = path / "data"
        self.log = ServerLog(self)

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Turn an OSError into EmbeddedPostgresError."""
        try:
            yield
        except (OSError, psutil.Error) as error:
            advice = "Run as the user it belongs to, choose another data directory, or set DATABASE_URL."
            what = f"Cannot keep a database in {self.path}: {error}"
            raise EmbeddedPostgresError(f"{what}. {advice}") from error

    def make(self) -> None:
        """Create the directory. Raises PermissionError if it belongs to another user."""
        if not self.path.exists():
            # Root's server runs as another account, which must be able to enter.
            mode = 0o711 if privileges.is_root() else 0o700
            self.path.parent.mkdir(mode, parents=True, exist_ok=True)
            self.path.mkdir(mode, exist_ok=True)
            privileges.hand_over(self.path, privileges.owner_of(self.path.parent))
        for path in (self.path, self.data):
            owner = privileges.owner_of(path).uid if path.exists() else os.geteuid()
            if owner != os.geteuid() and not privileges.is_root():
                raise PermissionError(f"{path} belongs to user {owner}, this process runs as {os.geteuid()}")

    def open(self, name: str, flags: int = os.O_RDWR) -> int:
        """Open one of our files; it belongs to the directory's owner even when root creates it."""
        fd = os.open(self.path / name, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        if privileges.is_root():
            os.fchown(fd, *privileges.owner_of(self.path))
        return fd

    def password(self) -> str:
        """Return the password of the server's only role."""
        return (self.path / "password").read_text()

    def write_password(self, password: str) -> None:
        """Write the password atomically."""
        with os.fdopen(self.open("password.new", os.O_WRONLY | os.O_TRUNC), "w") as file:
            file.write(password)
            file.flush()
            os.fsync(file.fileno())
        (self.path / "password.new").rename(self.path / "password")

    def sync(self) -> None:
        """Flush a rename in this directory to disk."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def failure(self, what: str) -> EmbeddedPostgresError:
        """The error with PostgreSQL's own output since it was started."""
        return EmbeddedPostgresError(
            f"{what}; its last output is below and in {self.path / 'postgres.log'}. Fix that, choose "
            f"another data directory, or set DATABASE_URL.\n{self.log.tail()}"
        )


class ServerLog:
    """postgres.log, and the offset at which the programs that we started last began to write."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._path = home.path / "postgres.log"
        self._start = 0

    def open(self) -> int:
        """Open the log for appending; a long one is rotated first."""
        if self._path.exists() and self._path.stat().st_size > LOG_BYTES:
            self._path.rename(self._home.path / "postgres.log.1")
        fd = self._home.open("postgres.log", os.O_WRONLY | os.O_APPEND)
        self._start = os.fstat(fd).st_size
        return fd

    def tail(self) -> str:
        """Return the end of what was written since `open`."""
        if not self._path.exists():
            return ""
        with self._path.open("rb") as file:
            file.seek(max(self._start, self._path.stat().st_size - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").strip()
