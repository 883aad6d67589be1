"""The open connections of this process, and the deadline of each exchange."""

import io
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from http.client import HTTPResponse
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from app.integrations.alarms import alarms

POOLS = 100
CONNECTIONS_OF_A_POOL = 16


@dataclass
class Watch:
    """Ends an exchange at its deadline, even if the server keeps sending a byte now and then."""

    seconds: float
    deadline: float = field(init=False)
    has_expired: bool = False
    connected: socket.socket | None = None
    is_over: bool = False

    def __post_init__(self) -> None:
        self.deadline = time.monotonic() + self.seconds
        self._ending = threading.Lock()

    def __enter__(self) -> "Watch":
        self._alarm = alarms().after(self.seconds, self._expire)
        _current.watch = self
        return self

    def __exit__(self, *_: object) -> None:
        self._alarm.cancel()
        with self._ending:  # the connection may go on to serve another exchange
            self.is_over = True
        self.connected = _current.watch = None

    def remaining(self) -> float:
        return max(self.deadline - time.monotonic(), 0.001)

    def check(self) -> None:
        """Raise TimeoutError after the deadline: then any answer is a truncated one."""
        if self.has_expired:
            raise TimeoutError

    def _expire(self) -> None:
        with self._ending:
            if self.is_over:
                return
            self.has_expired = True
            if self.connected is not None:
                with suppress(OSError):
                    socket.socket.shutdown(self.connected, socket.SHUT_RDWR)  # the reader sees the end of the stream


_current = threading.local()


class Lines(io.BufferedReader):
    """A server's answer, line by line. A line without a line break was cut off and is an error.

    `has_ended`: a line was requested after the end of the stream.
    """

    has_ended = False

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self.has_ended = not line
        if line and not line.endswith(b"\n") and len(line) != size:
            raise ConnectionError("The answer was cut off.")
        return line


class _WholeHead(HTTPResponse):
    """An answer with a complete head: http.client takes the end of the connection for the end of the head."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = Lines(self.fp.detach())

    def begin(self) -> None:
        super().begin()
        if isinstance(self.fp, Lines) and self.fp.has_ended:
            raise ConnectionError("The answer was cut off.")


class _Watched:
    """A connection that tells this thread's watch which socket it uses."""

    sock: socket.socket | None
    response_class: Any = _WholeHead

    def getresponse(self) -> Any:
        watch: Watch = _current.watch
        watch.connected = self.sock
        watch.check()
        response = super().getresponse()  # type: ignore[misc]  # the class mixed in before urllib3's
        if watch.has_expired:
            response.close()
        watch.check()
        return response


class _PlainConnection(_Watched, HTTPConnection):
    pass


class _TlsConnection(_Watched, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


@lru_cache(maxsize=1)
def pools() -> PoolManager:
    """The open connections of this process, shared by its threads. Ignores the proxies of the environment."""
    manager = PoolManager(POOLS, maxsize=CONNECTIONS_OF_A_POOL, ssl_context=ssl.create_default_context())
    manager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}
    return manager
