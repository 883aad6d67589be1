"""Providers that take everything, on loopback, each in a process of its own: one of webhooks, and a mail server."""

import asyncio
import json
import multiprocessing
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

from benchmarks import wire

ID = b"webhook-id:"
LENGTH = b"content-length:"


@dataclass
class _Book:
    """When each message first came, by its id."""

    at: dict[bytes, float] = field(default_factory=dict)

    def note(self, head: bytes) -> None:
        start = head.lower().find(ID) + len(ID)
        self.at.setdefault(head[start : head.find(b"\r", start)].strip(), time.time())

    def stats(self) -> bytes:
        times = self.at.values()
        return json.dumps({"count": len(times), "first": min(times, default=0), "last": max(times, default=0)}).encode()


class _Provider(asyncio.Protocol):
    def __init__(self, book: _Book, delay_seconds: float) -> None:
        self._book = book
        self._delay_seconds = delay_seconds
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        start = head.lower().find(LENGTH)
        length = int(head[start + len(LENGTH) :].split(b"\r", 1)[0]) if start >= 0 else 0
        if len(body) < length:
            return
        self._buffer = body[length:]
        if head.startswith(b"POST"):
            asyncio.get_running_loop().call_later(self._delay_seconds, self._take, head)
        else:
            self._answer(self._book.stats())

    def _take(self, head: bytes) -> None:
        self._book.note(head)
        self._answer(b"{}")

    def _answer(self, body: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))


class _MailServer(asyncio.Protocol):
    """SMTP (RFC 5321) as far as a client that sends mail needs it."""

    def __init__(self) -> None:
        self._buffer = b""
        self._is_mail = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            said, separator, rest = self._buffer.partition(b"\r\n.\r\n" if self._is_mail else b"\r\n")
            if not separator:
                return
            self._buffer = rest
            self._answer(b"." if self._is_mail else said[:4].upper())

    def _answer(self, command: bytes) -> None:
        self._is_mail = command == b"DATA"
        self._transport.write(b"354 go on\r\n" if self._is_mail else b"250 8BITMIME\r\n")
        if command == b"QUIT":
            self._transport.close()


async def _serve(listener: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
    server = await asyncio.get_running_loop().create_server(protocol, sock=listener)
    await server.serve_forever()


def _run(listener: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
    uvloop.run(_serve(listener, protocol))


@contextmanager
def running_sink(delay_seconds: float = 0.0) -> Iterator[str]:
    """The URL of a provider of webhooks that runs while the block does. `GET /stats` says what it took.

    It answers each message after this delay.
    """
    book = _Book()
    with _running(lambda: _Provider(book, delay_seconds)) as port:
        yield f"http://{wire.HOST}:{port}"


@contextmanager
def running_mail_server() -> Iterator[int]:
    """The port of a mail server that runs while the block does."""
    with _running(_MailServer) as port:
        yield port


@contextmanager
def _running(protocol: Callable[[], asyncio.Protocol]) -> Iterator[int]:
    with socket.create_server((wire.HOST, 0), backlog=1024) as listener:
        process = multiprocessing.get_context("fork").Process(target=_run, args=(listener, protocol), daemon=True)
        process.start()
        try:
            yield listener.getsockname()[1]
        finally:
            process.kill()
            process.join()


def taken(url: str) -> dict[str, Any]:
    """How many messages came, and when the first and the last did (seconds since the epoch)."""
    stats: dict[str, Any] = wire.call(f"{url}/stats")
    return stats
