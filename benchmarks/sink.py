"""A provider that takes every page at once, on loopback, in a process of its own: `GET /stats` says what it took."""

import asyncio
import json
import multiprocessing
import socket
import time
from collections.abc import Iterator
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
    def __init__(self, book: _Book) -> None:
        self._book = book
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
        answer = b"{}"
        if head.startswith(b"POST"):
            self._book.note(head)
        else:
            answer = self._book.stats()
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(answer), answer))


async def _serve(listener: socket.socket) -> None:
    book = _Book()
    server = await asyncio.get_running_loop().create_server(lambda: _Provider(book), sock=listener)
    await server.serve_forever()


def _run(listener: socket.socket) -> None:
    uvloop.run(_serve(listener))


@contextmanager
def running_sink() -> Iterator[str]:
    """The URL of a provider that runs while the block does."""
    with socket.create_server((wire.HOST, 0), backlog=1024) as listener:
        process = multiprocessing.get_context("fork").Process(target=_run, args=(listener,), daemon=True)
        process.start()
        try:
            yield f"http://{wire.HOST}:{listener.getsockname()[1]}"
        finally:
            process.kill()
            process.join()


def taken(url: str) -> dict[str, Any]:
    """How many messages came, and when the first and the last did (seconds since the epoch)."""
    stats: dict[str, Any] = wire.call(f"{url}/stats")
    return stats
