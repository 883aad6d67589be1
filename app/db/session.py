"""The engine, and the one way to open a transaction."""

import select
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.errors
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import QueuePool

from app.db import budget, liveness, query_seconds, trace_comments
from app.db.after_commit import CommitSession

WAKE_CHANNEL = "incidents_work"  # what workers LISTEN to
POOL_TIMEOUT_SECONDS = 10
# If the server's machine vanishes, nothing tells us: give up its connections after half a minute.
NETWORK_LIMITS = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,  # milliseconds
}
# Limits on every statement: waiting for a lock, running, and idling in a transaction whose client is gone. And no index
# that has only a part of the wanted order: PostgreSQL guesses how many rows are alike in that part, and reads them all.
SESSION_LIMITS = {
    "lock_timeout": "10s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    "enable_incremental_sort": "off",
}


CONTENTION = (
    psycopg2.errors.LockNotAvailable,
    psycopg2.errors.DeadlockDetected,
    psycopg2.errors.QueryCanceled,
)


class Database:
    """A connection pool and its transactions. Safe to share between threads."""

    def __init__(
        self, bind: Engine | Connection, revive: Callable[[], object] | None = None, *, most_connections: int = 0
    ) -> None:
        self.bind = bind
        self.most_connections = most_connections
        self._revive = revive
        self._is_joined = isinstance(bind, Connection)
        self._sessions = sessionmaker(
            bind,
            class_=CommitSession,
            expire_on_commit=False,
            join_transaction_mode="create_savepoint" if self._is_joined else "conditional_savepoint",
        )

    def session(self) -> Session:
        """A session that takes a connection only when it is first used. The caller closes it."""
        return self._sessions()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Commit at the end, roll back if the block raises, give the connection back either way."""
        with self._sessions.begin() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session in autocommit, for reads that need no transaction: each statement is one round trip.

        Within the transaction of a connection that has one already.
        """
        with self._sessions() as session:
            if self._is_joined:
                yield session
                session.commit()
                return
            with autocommit(session.connection().connection.dbapi_connection):
                yield session

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection without a session, for migrations."""
        if isinstance(self.bind, Connection):
            yield self.bind
        else:
            with self.bind.connect() as connection:
                yield connection

    def notifications(self, seconds: float, is_over: Callable[[], bool]) -> Generator[str, None, None]:
        """Yield each NOTIFY on the workers' channel until `is_over()`, which is asked every `seconds`.

        Uses its own connection outside the pool. Raises OperationalError when that is lost.
        """
        connection = connect_alone(self.bind)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {WAKE_CHANNEL}")
            readable = select.poll()  # select.select cannot watch a descriptor over 1,023
            readable.register(connection, select.POLLIN)
            while not is_over():
                if readable.poll(seconds * 1000):
                    connection.poll()
                    yield from dict.fromkeys(notice.payload for notice in connection.notifies)
                    connection.notifies.clear()
        except psycopg2.Error as error:
            raise OperationalError("LISTEN", {}, error) from error
        finally:
            connection.close()

    def connections_in_use(self) -> int:
        """How many of the pool's connections are in use now."""
        pool = self.bind.pool if isinstance(self.bind, Engine) else None
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    def revive(self) -> None:
        """Restart the embedded server. Does nothing for any other."""
        if self._revive is not None:
            self._revive()

    def dispose(self) -> None:
        """Close every idle connection."""
        if isinstance(self.bind, Engine):
            self.bind.dispose()


@contextmanager
def autocommit(connection: Any) -> Iterator[None]:
    """Send no BEGIN. SQLAlchemy's isolation level of this name tells the server as well, there and back."""
    connection.autocommit = True
    try:
        yield
    finally:
        if not connection.closed:
            connection.autocommit = False


def connect_alone(bind: Engine | Connection) -> Any:
    """A psycopg2 connection outside the pool, without a transaction."""
    fairy = bind.engine.raw_connection()
    fairy.detach()
    connection: Any = fairy.dbapi_connection
    connection.set_session(autocommit=True)
    return connection


def is_unavailable(error: BaseException) -> bool:
    """True if the database is unreachable, as opposed to a statement being wrong."""
    return isinstance(error, OperationalError | InterfaceError | PoolTimeout) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def is_contended(error: BaseException) -> bool:
    """True if a statement gave way to others or timed out: the database itself is reachable."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, CONTENTION)


def is_deadlock(error: BaseException) -> bool:
    """True if PostgreSQL ended this transaction to break a deadlock: it can be retried."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, psycopg2.errors.DeadlockDetected)


def is_lock_timeout(error: BaseException) -> bool:
    """True if a statement waited for a lock until lock_timeout."""
    return isinstance(error, DBAPIError) and isinstance(error.orig, psycopg2.errors.LockNotAvailable)


def connect(
    url: str,
    *,
    pool_size: int,
    overflow: int = 0,
    revive: Callable[[], object] | None = None,
    has_trace_comments: bool = True,
) -> Database:
    """A database of at most `pool_size + overflow` connections; none is made yet."""
    engine = create_engine(
        driver_url(url),
        pool_size=pool_size,
        max_overflow=overflow,
        pool_timeout=POOL_TIMEOUT_SECONDS,
        executemany_mode="values_plus_batch",  # one round trip for the UPDATEs of a batch, too
        hide_parameters=True,  # failed statements are logged
        connect_args={"application_name": "incidents", **NETWORK_LIMITS},
    )
    event.listen(engine, "connect", _limit_session)
    budget.install(engine)
    liveness.install(engine)
    query_seconds.install(engine)
    if has_trace_comments:
        trace_comments.install(engine)
    return Database(engine, revive, most_connections=pool_size + overflow)


def shown_url(url: str) -> str:
    """A database's URL for people: without its password, and without parameters, which may have one too."""
    return make_url(url).set(password=None, query={}).render_as_string()


def driver_url(url: str) -> str:
    """The URL with psycopg2 named: a bare `postgresql://` means psycopg 3 since SQLAlchemy 2.1."""
    parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg2")
    return parsed.render_as_string(hide_password=False)


def _limit_session(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        for name, value in SESSION_LIMITS.items():
            cursor.execute(f"SET {name} = %s", (value,))
    connection.commit()
