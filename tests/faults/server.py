"""A PostgreSQL of the rig's own: its databases, its clock, and what can be done to it."""

import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
from sqlalchemy import create_engine, make_url, text

from app.db import migrations
from app.db.embedded import privileges
from app.db.embedded.server import EmbeddedPostgres, binary_dir
from app.db.session import Database, connect, driver_url

COMMAND_SECONDS = 120


class Store:
    """A database, asked by plain SQL. Every statement is a transaction of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database: Database = connect(url, pool_size=10, overflow=40)

    def run(self, statement: str, **values: Any) -> None:
        with self.database.transaction() as session:
            session.execute(text(statement), values)

    def rows(self, statement: str, **values: Any) -> Sequence[Any]:
        with self.database.transaction() as session:
            result = session.execute(text(statement), values)
            return result.all()

    def one(self, statement: str, **values: Any) -> Any:
        """The only value of the only row."""
        with self.database.transaction() as session:
            return session.execute(text(statement), values).scalar_one()

    def tidy(self) -> None:
        """Bring the statistics up to date, as autovacuum would have in a while."""
        engine = create_engine(driver_url(self.url), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))
        engine.dispose()

    def close(self) -> None:
        self.database.dispose()


class Server:
    """One server. Commit times are kept, so that what was committed first can be told afterwards."""

    def __init__(self, directory: Path, *, is_durable: bool) -> None:
        self._directory = directory
        self._embedded = EmbeddedPostgres(directory)
        self.url = self._embedded.start()
        self._set("track_commit_timestamp", "on")
        for setting in () if is_durable else ("fsync", "full_page_writes", "synchronous_commit"):
            self._set(setting, "off")
        self.restart("fast")
        self._template = self._make_template()

    def new_store(self) -> Store:
        """A migrated database that nobody else uses."""
        return Store(self._create(self._template))

    def shift_clock(self, seconds: float) -> None:
        """Move the service's time, for every connection of every process, from its next statement on."""
        self._set("incidents.clock_offset", f"{seconds} seconds")

    def restart(self, how: str) -> None:
        """Stop it, `fast` or `immediate` (which is a crash), and start it again on the same port."""
        command = [str(binary_dir() / "pg_ctl"), "restart", "-w", "-m", how, "-D", str(self._data)]
        account = privileges.owner_of(self._data)
        with (self._directory / "pg_ctl.log").open("ab") as log:
            subprocess.run(
                privileges.command_as(account, self._data, command),
                check=True,
                timeout=COMMAND_SECONDS,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C"},
                start_new_session=True,
            )

    def freeze(self) -> None:
        for process in self._processes():
            process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        for process in self._processes():
            process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self._embedded.stop()

    @property
    def _data(self) -> Path:
        return self._directory / "postgres" / "data"

    def _processes(self) -> list[psutil.Process]:
        postmaster = psutil.Process(int((self._data / "postmaster.pid").read_text().splitlines()[0]))
        return [postmaster, *postmaster.children(recursive=True)]

    def _set(self, name: str, value: str) -> None:
        self._on_server(f"ALTER SYSTEM SET {name} = '{value}'", "SELECT pg_reload_conf()")

    def _on_server(self, *statements: str) -> None:
        engine = create_engine(driver_url(self.url), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    def _create(self, template: str) -> str:
        name = f"faults_{uuid4().hex[:12]}"
        self._on_server(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def _make_template(self) -> str:
        url = self._create("template1")
        database = connect(url, pool_size=1)
        migrations.upgrade(database)
        database.dispose()
        return url.rpartition("/")[2]
