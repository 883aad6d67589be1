"""Drives keep-alive HTTP connections from one thread with epoll, and times every answer.

Closed loop: a client sends its next request when the answer to its last one is there, after `think_seconds`. No
pipelining. `python -m benchmarks.ceiling` shows its own limit, and what a request costs it.
"""

import gc
import heapq
import select
import socket
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

DRAIN_SECONDS = 5.0  # how long answers may still come in after the end; what is missing then is an error
POLL_SECONDS = 0.05
CHUNK = 262_144
CONNECT_SECONDS = 5.0
LENGTH = b"content-length:"
UNANSWERED, BROKEN = "unanswered", "broken"


@dataclass(frozen=True)
class Group:
    """Clients that share a stream of requests. Where it ends, they stop."""

    requests: Iterator[bytes]
    clients: int
    think_seconds: float = 0.0


@dataclass(frozen=True)
class Timing:
    """What to measure: `seconds`, after a warm-up that does not count."""

    seconds: float
    warm_up: float = 0.5


@dataclass(frozen=True)
class Sample:
    """What one group saw. Latencies are in seconds, in ascending order; answers by status, or why there was none."""

    seconds: float
    latencies: Sequence[float]
    answers: Counter[str]
    longest_gap: float

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return sum(n for answer, n in self.answers.items() if _is_good(answer)) / max(self.seconds, 1e-9)

    @property
    def errors(self) -> int:
        """Answers that are not 2xx, connections that broke, requests without an answer."""
        return sum(n for answer, n in self.answers.items() if not _is_good(answer))

    def percentile(self, share: float) -> float:
        return percentile(self.latencies, share)


@dataclass(frozen=True)
class Run:
    """One sample for each group, and the share of a core that the load generator took."""

    samples: list[Sample]
    generator_share: float


def percentile(ascending: Sequence[float], share: float) -> float:
    """The nearest rank: the smallest value that at least `share` of all do not exceed. 0 of no values."""
    if not ascending:
        return 0.0
    rank = -int(-len(ascending) * share // 1)  # rounded up
    return ascending[max(rank, 1) - 1]


def drive(port: int, groups: Sequence[Group], timing: Timing) -> Run:
    """Run all groups at once against a server on 127.0.0.1. Raises OSError if it takes no connections."""
    driver = _Driver(port, groups)
    gc.collect()
    gc.disable()
    try:
        began, processor = time.perf_counter(), time.process_time()
        driver.run(began + timing.warm_up, began + timing.warm_up + timing.seconds)
        share = (time.process_time() - processor) / (time.perf_counter() - began)
    finally:
        gc.enable()
        driver.close()
    return Run([tally.sample(driver.counts_from, driver.until) for tally in driver.tallies], share)


def _is_good(answer: str) -> bool:
    return answer.startswith("2")


@dataclass
class _Tally:
    finished: "array[float]" = field(default_factory=lambda: array("d"))
    took: "array[float]" = field(default_factory=lambda: array("d"))
    answers: Counter[str] = field(default_factory=Counter)
    is_exhausted: bool = False

    def sample(self, counts_from: float, until: float) -> Sample:
        """A stream of requests that ended is measured until its last answer."""
        end = self.finished[-1] if self.is_exhausted and self.finished else until
        gaps = (later - earlier for earlier, later in pairwise([counts_from, *self.finished, end]))
        return Sample(end - counts_from, sorted(self.took), self.answers, max(gaps))


@dataclass
class _Client:
    group: Group
    tally: _Tally
    socket: socket.socket
    sent_at: float = 0.0
    is_waiting: bool = False
    buffer: bytes = b""


class _Driver:
    def __init__(self, port: int, groups: Sequence[Group]) -> None:
        self.tallies = [_Tally() for _ in groups]
        self.counts_from = self.until = 0.0
        self._port = port
        self._poll = select.epoll()
        self._clients: dict[int, _Client] = {}
        self._thinking: list[tuple[float, int]] = []
        self._waiting = 0
        for group, tally in zip(groups, self.tallies, strict=True):
            for _ in range(group.clients):
                self._connect(group, tally)

    def run(self, counts_from: float, until: float) -> None:
        """Send until then, and wait a little for the answers that are missing."""
        self.counts_from, self.until = counts_from, until
        for number, client in enumerate(list(self._clients.values())):
            if client.group.think_seconds:  # not all in step
                self._pause(client, client.group.think_seconds * number / len(self._clients))
            else:
                self._send(client)
        while self._is_busy():
            self._turn()
        for client in self._clients.values():
            client.tally.answers[UNANSWERED] += client.is_waiting

    def close(self) -> None:
        for client in self._clients.values():
            client.socket.close()
        self._poll.close()

    def _is_busy(self) -> bool:
        now = time.perf_counter()
        if now < self.until:
            return bool(self._waiting or self._thinking)
        return self._waiting > 0 and now < self.until + DRAIN_SECONDS

    def _turn(self) -> None:
        wait = POLL_SECONDS
        while self._thinking:
            wait = self._thinking[0][0] - time.perf_counter()
            if wait > 0:
                break
            client = self._clients.get(heapq.heappop(self._thinking)[1])
            if client is not None:
                self._send(client)
        for number, _ in self._poll.poll(min(max(wait, 0), POLL_SECONDS)):
            self._receive(self._clients[number])

    def _receive(self, client: _Client) -> None:
        try:
            data = client.socket.recv(CHUNK)
        except OSError:
            data = b""
        if not data:
            self._replace(client)
            return
        data = client.buffer + data
        size = _size_of(data)
        if size is None or len(data) < size:
            client.buffer = data
        else:
            client.buffer = b""
            self._answered(client, data[9:12].decode())

    def _answered(self, client: _Client, status: str) -> None:
        client.is_waiting = False
        self._waiting -= 1
        now, tally = time.perf_counter(), client.tally
        if self.counts_from <= now < self.until:
            tally.finished.append(now)
            tally.took.append(now - client.sent_at)
            tally.answers[status] += 1
        elif not _is_good(status):
            tally.answers[status] += 1
        if client.group.think_seconds:
            self._pause(client, client.group.think_seconds)
        else:
            self._send(client)

    def _pause(self, client: _Client, seconds: float) -> None:
        heapq.heappush(self._thinking, (time.perf_counter() + seconds, client.socket.fileno()))

    def _send(self, client: _Client) -> None:
        now = time.perf_counter()
        if now >= self.until:
            return
        request = next(client.group.requests, None)
        if request is None:
            client.tally.is_exhausted = True
            return
        client.sent_at, client.is_waiting = now, True
        self._waiting += 1
        with suppress(OSError):  # a closed connection shows when it is read
            client.socket.send(request)

    def _replace(self, client: _Client) -> None:
        """The server hung up. That is an error if an answer was due."""
        client.tally.answers[BROKEN] += client.is_waiting
        self._waiting -= client.is_waiting
        del self._clients[client.socket.fileno()]
        client.socket.close()
        if time.perf_counter() < self.until:
            with suppress(OSError):
                self._send(self._connect(client.group, client.tally))

    def _connect(self, group: Group, tally: _Tally) -> _Client:
        connection = socket.create_connection(("127.0.0.1", self._port), CONNECT_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        client = _Client(group, tally, connection)
        self._clients[connection.fileno()] = client
        self._poll.register(connection.fileno(), select.EPOLLIN)
        return client


def _size_of(data: bytes) -> int | None:
    """How long an answer is, head and body; None while its head is not whole. Raises ValueError without a length."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    at = data.find(LENGTH, 0, end)
    if at < 0:
        at = data[:end].lower().find(LENGTH)
    if at < 0:
        raise ValueError(f"an answer without a Content-Length: {data[:200]!r}")
    return end + 4 + int(data[at + len(LENGTH) : data.find(b"\r", at)])
