"""The embedded PostgreSQL with real processes: what is shared, what is killed, and who may run it."""

import os
import pwd
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import pytest
import structlog

from app.db.embedded.server import EmbeddedPostgres, EmbeddedPostgresError, binary_dir

pytestmark = pytest.mark.recovery

DEADLINE_SECONDS = 120
IS_ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not IS_ROOT, reason="only root runs PostgreSQL as somebody else")
as_ordinary_user = pytest.mark.skipif(IS_ROOT, reason="root may do everything")

# Uses the server until its standard input ends, then leaves in good order.
USER = """
import sys, pathlib
from app.db.embedded.server import EmbeddedPostgres
server = EmbeddedPostgres(pathlib.Path(sys.argv[1]))
print(server.start(), flush=True)
sys.stdin.read()
server.stop()
"""

# Never gets to the end of the first start, when the new cluster is put in its place.
STUCK_USER = f"""
import os, pathlib, signal
pathlib.Path.rename = lambda self, to: signal.pause() if self.name == "data" else os.rename(self, to)
{USER}"""

FORKING_USER = """
import os, pathlib, signal, subprocess, sys
from app.db.embedded.server import EmbeddedPostgres
server = EmbeddedPostgres(pathlib.Path(sys.argv[1]))
url = server.start()
if os.fork() == 0:
    os.close(1)
    signal.pause()
program = subprocess.Popen(["/bin/sleep", "3600"], close_fds=False, stdout=subprocess.DEVNULL)
print(url, flush=True)
signal.pause()
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data directory in which no process may be left at the end."""
    directory = tmp_path / "data"
    yield directory
    left = processes_in(directory)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    assert left == []


def processes_in(directory: Path) -> list[psutil.Process]:
    """Return what works in a data directory, and what has died but was not reaped by us."""
    return [process for process in psutil.process_iter() if works_in(process, directory)]


def works_in(process: psutil.Process, directory: Path) -> bool:
    with suppress(psutil.Error):
        if process.status() == psutil.STATUS_ZOMBIE:
            return bool(process.ppid() == os.getpid())
        if process.name() in {"postgres", "initdb"}:
            return any(
                place in f"{place_of(process)} {process.cmdline()}" for place in (str(directory), mark(directory))
            )
    return False


def place_of(process: psutil.Process) -> str:
    # In a container root may not look: there the titles of the processes have to do.
    with suppress(psutil.AccessDenied):
        return str(process.cwd())
    return ""


def mark(directory: Path) -> str:
    home = directory / "postgres"
    return f"{home.stat().st_dev:x}-{home.stat().st_ino:x}" if home.is_dir() else str(directory)


def until(condition: Callable[[], Any]) -> Any:
    """Wait for something to become true, and return it."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)
    return found


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def remember(url: str, text: str) -> None:
    query(url, f"CREATE TABLE IF NOT EXISTS remembered (text text); INSERT INTO remembered VALUES ('{text}')")


def remembered(url: str) -> list[str]:
    return [text for (text,) in query(url, "SELECT text FROM remembered ORDER BY text")]


def postmaster(directory: Path) -> psutil.Process:
    return psutil.Process(int((directory / "postgres/data/postmaster.pid").read_text().split()[0]))


@contextmanager
def user_process(directory: Path, script: str = USER) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", script, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return next(line.strip() for line in process.stdout if line.startswith("postgresql://"))


def kill(process: subprocess.Popen[Any] | psutil.Process) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(DEADLINE_SECONDS)


def test_rows_are_there_after_a_restart(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as url:
        remember(url, "first")
    assert processes_in(data_dir) == []
    with EmbeddedPostgres(data_dir) as url:
        remember(url, "second")
        assert remembered(url) == ["first", "second"]
    log = (data_dir / "postgres/postgres.log").read_text()
    assert log.count("database system is shut down") == 2
    assert "interrupted" not in log


def test_the_cluster_is_utf8_durable_local_and_asks_for_a_password(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as url:
        names = ("server_encoding", "fsync", "listen_addresses", "unix_socket_directories", "max_connections")
        values = [query(url, f"SHOW {name}")[0][0] for name in (*names, "TimeZone", "data_checksums")]
        assert values == ["UTF8", "on", "127.0.0.1", "", "200", "UTC", "on"]
        assert query(url, "SELECT lower('ÄÖ'), current_database(), current_user") == [("äö", "incidents", "incidents")]
        query(url, "CREATE EXTENSION pg_trgm")
        assert query(url, "SELECT cardinality(show_trgm('ÄÖÜ'))") == [(4,)]
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            psycopg2.connect(url.replace("://incidents:", "://incidents:x"))
    assert stat.S_IMODE((data_dir / "postgres/password").stat().st_mode) == 0o600


def test_the_last_one_out_stops_the_server(data_dir: Path) -> None:
    first, second = EmbeddedPostgres(data_dir), EmbeddedPostgres(data_dir)
    with structlog.testing.capture_logs() as logs:
        url = first.start()
        assert second.start() == url
        first.stop()
        assert query(url, "SELECT 1") == [(1,)]
        assert first.start() == url
        second.stop()
        second.stop()
        assert query(url, "SELECT 1") == [(1,)]
        first.stop()
    assert processes_in(data_dir) == []
    events = [(line["event"], line.get("adopted")) for line in logs]
    started = [("embedded_postgres_started", adopted) for adopted in (False, True, True)]
    assert events == [*started, ("embedded_postgres_stopped", None)]
    assert (data_dir / "postgres/password").read_text() not in str(logs)


def test_only_a_server_that_is_new_to_the_process_is_logged(data_dir: Path) -> None:
    server, other = EmbeddedPostgres(data_dir), EmbeddedPostgres(data_dir)
    with structlog.testing.capture_logs() as logs:
        url = server.start()
        other.start()
        assert server.start() == url  # as the worker does while the database does not answer
        kill(postmaster(data_dir))
        server.start()
        other.start()
        server.stop()
        other.stop()
    started = [line["adopted"] for line in logs if line["event"] == "embedded_postgres_started"]
    assert started == [False, True, False, True]


def test_processes_that_start_together_share_one_server(data_dir: Path) -> None:
    with user_process(data_dir) as one, user_process(data_dir) as two, user_process(data_dir) as three:
        users = (one, two, three)
        (url,) = {url_of(user) for user in users}
        for user in users:
            assert query(url, "SELECT 1") == [(1,)]
            user.communicate(timeout=DEADLINE_SECONDS)
            assert user.returncode == 0
    assert processes_in(data_dir) == []


def test_a_server_stopped_by_another_process_leaves_no_zombie(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    url = server.start()
    with user_process(data_dir) as user:
        assert url_of(user) == url
        server.stop()
        assert processes_in(data_dir) != []
        user.communicate(timeout=DEADLINE_SECONDS)
    until(lambda: processes_in(data_dir) == [])


def test_a_server_left_behind_by_a_killed_process_is_adopted(data_dir: Path) -> None:
    with user_process(data_dir) as user:
        url = url_of(user)
        remember(url, "before the kill")
        kill(user)
    with EmbeddedPostgres(data_dir) as adopted:
        assert adopted == url
        assert remembered(adopted) == ["before the kill"]
    assert processes_in(data_dir) == []


def test_a_killed_process_keeps_nobody_from_stopping_the_server(data_dir: Path) -> None:
    with user_process(data_dir) as user, EmbeddedPostgres(data_dir) as url:
        assert url_of(user) == url
        kill(user)
    assert processes_in(data_dir) == []


def test_a_killed_postmaster_comes_back_with_every_committed_row(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    url = server.start()
    remember(url, "committed")
    with closing(psycopg2.connect(url, async_=True)) as busy:
        until(lambda: busy.poll() == psycopg2.extensions.POLL_OK)
        # Nothing in this loop notices that the postmaster is gone: the backend holds on to the shared memory.
        busy.cursor().execute("SELECT count(*) FROM generate_series(1, 1000000000)")
        until(lambda: query(url, "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%generate_s%' LIMIT 1"))
        kill(postmaster(data_dir))
        assert processes_in(data_dir) != []
        assert server.start() == url  # the pools of all who use it find it again
    assert remembered(url) == ["committed"]
    server.stop()
    assert processes_in(data_dir) == []


def test_a_crashed_server_moves_when_its_port_was_taken(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    url = server.start()
    remember(url, "committed")
    kill(postmaster(data_dir))
    until(lambda: not processes_in(data_dir))  # its backends may hold the port a moment longer
    with socket.create_server(("127.0.0.1", int(psycopg2.extensions.parse_dsn(url)["port"]))):
        moved = server.start()
        assert moved != url
        assert remembered(moved) == ["committed"]
    server.stop()


def test_an_interrupted_initdb_is_begun_again(data_dir: Path) -> None:
    with user_process(data_dir, STUCK_USER) as user:
        until((data_dir / "postgres/draft/data/PG_VERSION").exists)
        kill(user)
    assert not (data_dir / "postgres/data").exists()
    with EmbeddedPostgres(data_dir) as url:
        assert query(url, "SELECT 1") == [(1,)]
    assert not (data_dir / "postgres/draft").exists()


def test_a_start_that_is_killed_on_its_way_does_no_harm(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as url:
        remember(url, "committed")
    for _ in range(5):
        with user_process(data_dir) as user:
            until(lambda: processes_in(data_dir))
            kill(user)
        with EmbeddedPostgres(data_dir) as url:
            assert remembered(url) == ["committed"]
        assert processes_in(data_dir) == []


def test_a_stale_pid_that_is_a_strangers_by_now_is_ignored(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as url:
        remember(url, "committed")
        pid_file = data_dir / "postgres/data/postmaster.pid"
        lines = pid_file.read_text().splitlines()
        owner = pid_file.stat().st_uid
    # PostgreSQL believes in a process of its own user only.
    with subprocess.Popen(["/bin/sleep", "3600"], user=owner if IS_ROOT else None, cwd="/") as stranger:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        with EmbeddedPostgres(data_dir) as url:
            assert remembered(url) == ["committed"]
        assert stranger.poll() is None
        stranger.kill()


def test_no_child_keeps_the_share_of_a_killed_process(data_dir: Path) -> None:
    with user_process(data_dir, FORKING_USER) as user:
        url_of(user)
        children = psutil.Process(user.pid).children()
        kill(user)
    sleepers = [child for child in children if child.name() != "postgres"]
    try:
        assert len(sleepers) == 2
        with EmbeddedPostgres(data_dir):
            pass
        assert processes_in(data_dir) == []
    finally:
        for sleeper in sleepers:
            sleeper.kill()


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir):
        assert os.getsid(postmaster(data_dir).pid) != os.getsid(0)


def test_a_long_log_is_put_aside_at_the_start(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir(parents=True)
    (data_dir / "postgres/postgres.log").write_text("x" * 5_000_001)
    with EmbeddedPostgres(data_dir):
        assert (data_dir / "postgres/postgres.log").stat().st_size < 100_000
    assert (data_dir / "postgres/postgres.log.1").stat().st_size == 5_000_001


def test_the_log_shows_neither_rows_nor_statements(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as url:
        query(url, "CREATE TABLE secrets (secret text PRIMARY KEY); INSERT INTO secrets VALUES ('hush')")
        with pytest.raises(psycopg2.errors.UniqueViolation):
            query(url, "INSERT INTO secrets VALUES ('hush')")
        text = (data_dir / "postgres/postgres.log").read_text()
    assert "duplicate key" in text
    assert "hush" not in text


def test_a_file_in_place_of_the_data_directory_is_an_error(data_dir: Path) -> None:
    data_dir.write_text("")
    with pytest.raises(EmbeddedPostgresError, match=r"Cannot keep a database .* set DATABASE_URL"):
        EmbeddedPostgres(data_dir).start()


def test_a_directory_that_is_no_cluster_is_an_error(data_dir: Path) -> None:
    (data_dir / "postgres/data").mkdir(parents=True, mode=0o700)
    (data_dir / "postgres/data/notes.txt").write_text("precious")
    with pytest.raises(EmbeddedPostgresError, match="server configuration file"):
        EmbeddedPostgres(data_dir).start()
    assert (data_dir / "postgres/data/notes.txt").read_text() == "precious"


def test_a_broken_configuration_is_an_error_that_quotes_the_log(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as url:
        remember(url, "committed")
    configuration = data_dir / "postgres/data/postgresql.conf"
    sound = configuration.read_text()
    configuration.write_text(sound + "\nmax_connections = many\n")
    with pytest.raises(EmbeddedPostgresError, match=r"(?s)DATABASE_URL.*max_connections"):
        EmbeddedPostgres(data_dir).start()
    configuration.write_text(sound)
    with EmbeddedPostgres(data_dir) as url:
        assert remembered(url) == ["committed"]


@as_ordinary_user
def test_a_data_directory_that_we_may_not_enter_is_an_error(data_dir: Path) -> None:
    data_dir.mkdir(mode=0)
    with pytest.raises(EmbeddedPostgresError, match="Permission denied"):
        EmbeddedPostgres(data_dir).start()
    data_dir.chmod(0o700)


def test_a_name_that_needs_quoting_is_refused(data_dir: Path) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        EmbeddedPostgres(data_dir, name='a"; DROP')


def test_the_tools_for_backups_are_at_hand() -> None:
    subprocess.run([binary_dir() / "pg_dump", "--version"], check=True, stdout=subprocess.DEVNULL)


def capabilities(process: psutil.Process) -> int:
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("CapEff")).split()[1], 16)


@as_root
def test_root_runs_it_as_somebody_else_below_a_closed_directory(data_dir: Path) -> None:
    closed = data_dir.parent / "closed"
    closed.mkdir(mode=0o700)
    with EmbeddedPostgres(closed / "data") as url:
        assert query(url, "SELECT 1") == [(1,)]
        assert 0 not in postmaster(closed / "data").uids()
        assert capabilities(postmaster(closed / "data")) in {1 << 1, 1 << 2}
    assert (stat.S_IMODE(closed.stat().st_mode), closed.stat().st_uid) == (0o700, 0)
    assert (closed / "data/postgres/password").stat().st_uid == 0
    assert processes_in(closed) == []


@as_root
def test_root_leaves_it_no_capability_where_it_needs_none() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        binaries_are_closed = any(not parent.stat().st_mode & stat.S_IXOTH for parent in binary_dir().parents)
        with EmbeddedPostgres(Path(name) / "data"):
            assert bool(capabilities(postmaster(Path(name) / "data"))) == binaries_are_closed


@as_root
def test_root_runs_an_ordinary_users_cluster_as_that_user(data_dir: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    data_dir.mkdir()
    os.chown(data_dir, nobody.pw_uid, nobody.pw_gid)
    with EmbeddedPostgres(data_dir):
        assert postmaster(data_dir).uids().effective == nobody.pw_uid
    owners = {path.lstat().st_uid for path in data_dir.rglob("*")}
    assert owners == {nobody.pw_uid}


@as_root
def test_a_copy_that_root_made_is_given_back(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as url:
        remember(url, "committed")
    for path in [data_dir / "postgres/data", *(data_dir / "postgres/data").rglob("*")]:
        os.chown(path, 0, 0)
    with EmbeddedPostgres(data_dir) as url:
        assert remembered(url) == ["committed"]


@as_root
def test_an_ordinary_user_is_told_whose_cluster_it_is() -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        with EmbeddedPostgres(Path(name) / "data"):
            pass
        fork = os.fork()
        if fork == 0:
            os._exit(0 if "belongs to user 0" in error_as_nobody(Path(name) / "data") else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0


def error_as_nobody(directory: Path) -> str:
    try:
        os.setgroups([])
        os.setuid(pwd.getpwnam("nobody").pw_uid)
        EmbeddedPostgres(directory).start()
    except BaseException as error:  # noqa: BLE001  # a forked child must not run on as a second pytest
        return str(error) if isinstance(error, EmbeddedPostgresError) else ""
    return ""
