"""A provider on a socket: keeps what arrives and when, and answers from a script that a test changes as it runs."""

import asyncio
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Literal

DRIP_SECONDS = 0.2
CLOSE_NOW = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: closing resets the connection
START_SECONDS = 10
FOREVER_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider does with a request once it has the whole of it.

    `fault`: "hang" never answers, "drip" never ends its answer, "reset" tears the connection down.
    """

    status: int = 200
    delay: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: Literal["hang", "drip", "reset"] | None = None

    @property
    def accepts(self) -> bool:
        return self.fault is None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request. `at` is when it had arrived, in seconds since the epoch; `key` is its idempotency key."""

    at: float
    path: str
    key: str
    agent: str
    answer: Answer


Script = Callable[[str, int], Answer]


class Provider:
    """`script` is asked with the path and how often its key has come before."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.script: Script = lambda _path, _before: Answer()
        self._seen: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._is_up = Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = self._listener.getsockname()[1]
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._is_up.wait(START_SECONDS)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def always(self, answer: Answer) -> None:
        self.script = lambda _path, _before: answer

    def keys(self) -> Counter[str]:
        """How often each message was taken."""
        return Counter(arrival.key for arrival in self.arrivals if arrival.answer.accepts)

    def times_of(self, key: str) -> list[float]:
        return [arrival.at for arrival in self.arrivals if arrival.key == key]

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_SECONDS)
        self._listener.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._converse, sock=self._listener))
        self._is_up.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await _request(reader)) is not None:
                path, headers = request
                key = headers.get("webhook-id", "")
                answer = self.script(path, self._seen[key])
                self._seen[key] += 1
                self.arrivals.append(Arrival(time.time(), path, key, headers.get("user-agent", ""), answer))
                if not await _reply(writer, answer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the sender went away, which some of the faults are about, or the provider stops
        finally:
            writer.close()


async def _request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]] | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    await reader.readexactly(int(headers.get("content-length", "0")))
    return first.split(" ")[1], headers


async def _reply(writer: asyncio.StreamWriter, answer: Answer) -> bool:
    """Carry the answer out. False when the connection is of no more use."""
    if answer.delay:
        await asyncio.sleep(answer.delay)
    if answer.fault == "hang":
        await asyncio.sleep(FOREVER_SECONDS)  # the loop keeps who sleeps; who only waits could be collected
    if answer.fault == "reset":
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, CLOSE_NOW)
        writer.transport.abort()
        return False
    length = 10**6 if answer.fault == "drip" else 2
    lines = [f"HTTP/1.1 {answer.status} Answer", "Content-Type: application/json", f"Content-Length: {length}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + (b"" if answer.fault else b"{}"))
    await writer.drain()
    while answer.fault == "drip":
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(DRIP_SECONDS)
    return True
