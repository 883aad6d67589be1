"""Notices connections of the pool that the server has closed.

The pool's own check asks the server before each transaction, which takes as long as a short query. A connection that
was closed at the other end can be read from at once, so asking the operating system is enough. Nobody knows at once
about a server whose machine vanished: for that, each connection has its network limits.
"""

import select
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError


def install(engine: Engine) -> None:
    """Check each connection of this engine when it leaves the pool. All are replaced after a lost one."""

    def require_open(connection: Any, _record: Any, _proxy: Any) -> None:
        if not _has_something_to_read(connection):
            return
        try:
            engine.dialect.do_ping(connection)  # the server may have sent no more than a notice
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error

    event.listen(engine, "checkout", require_open)


def _has_something_to_read(connection: Any) -> bool:
    readable = select.poll()  # select.select cannot watch a descriptor over 1,023
    readable.register(connection, select.POLLIN)
    return bool(readable.poll(0))
