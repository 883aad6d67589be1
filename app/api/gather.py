"""Concurrent requests of one kind share a statement and a commit.

A request waits only while the batch before it is being written: the next batch is whatever has arrived meanwhile, so
that nobody waits for company. Each answer leaves after the commit that it reports, and each request succeeds or fails
alone:

- a batch that fails is undone and its members run one by one, in their order;
- what another transaction has locked is skipped by the batch and runs apart, where it may wait (`app.api.apart`);
- the queue is bounded: beyond that a request is refused at once (`Overloaded`);
- a request whose client has left by then is dropped.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Generic

import structlog
from structlog.contextvars import get_contextvars

from app.api.apart import Apart
from app.api.waiting import Batch, Item, Outcome, Waiting, answer, running, still_wanted
from app.core import tracing
from app.core.batches import LOCKED
from app.core.errors import Overloaded
from app.crud.locks import wait_briefly
from app.db.session import Database, is_contended, is_unavailable

log = structlog.get_logger()

MAX_WAITING = 4_096
MAX_BATCH = 500
LOCK_SECONDS, IMPATIENT_LOCK_SECONDS = 0.2, 0.02
PATIENT_LANES = 4


class Threads:
    """The threads that all gatherers of one process share."""

    def __init__(self, writers: int) -> None:
        self.writers: Executor = ThreadPoolExecutor(writers, "gather")
        # One thread each: what has a key keeps to one lane, and so its order of arrival.
        self.patient = [ThreadPoolExecutor(1, f"gather-apart-{lane}") for lane in range(PATIENT_LANES)]

    def close(self) -> None:
        """Let what is under way be answered, and end."""
        for executor in (self.writers, *self.patient):
            executor.shutdown()


@dataclass(eq=False)
class Gatherer(Generic[Item]):
    """The queue of one kind of request. Items with the same `key_of` are run in the order in which they came.

    One that `is_reading` needs no transaction: each of its statements stands for itself.
    """

    name: str
    database: Database
    run: Batch[Item]
    threads: Threads
    key_of: Callable[[Item], Hashable] = lambda _: None
    max_waiting: int = MAX_WAITING
    max_batch: int = MAX_BATCH
    is_reading: bool = False
    _queue: "deque[Waiting[Item]]" = field(default_factory=deque, init=False)
    _apart: "Apart[Item]" = field(init=False)
    _lock: Lock = field(default_factory=Lock, init=False)
    _is_writing: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._apart = Apart(self.name, self.database, self.run, self.threads.patient)

    async def submit(self, item: Item) -> Any:
        """The outcome of an item, once it is committed. Raises the error that refuses it, and Overloaded."""
        loop = asyncio.get_running_loop()
        request_id = get_contextvars().get("request_id")
        waiting = Waiting(item, self.key_of(item), loop.create_future(), loop, request_id, tracing.current())
        with self._lock:
            if len(self._queue) >= self.max_waiting:
                raise Overloaded("Too many requests are waiting. Try again in a moment.", retry_after_seconds=1)
            self._queue.append(waiting)
            starts, self._is_writing = not self._is_writing, True
        if starts:
            # Once the requests that the loop has in hand have been queued, too.
            loop.call_soon(self.threads.writers.submit, self._write_all)
        return await waiting.future

    def _write_all(self) -> None:
        """In a thread: write batch after batch until nobody waits."""
        while batch := self._take():
            try:
                self._write(still_wanted(batch))
            except BaseException as error:
                log.exception("gathering_failed", gatherer=self.name)
                answer([(waiting, error) for waiting in batch])

    def _take(self) -> "list[Waiting[Item]]":
        """The next batch. If there is none, the next request starts a writer again."""
        with self._lock:
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), self.max_batch))]
            self._is_writing = bool(batch)
        return batch

    def _write(self, batch: "list[Waiting[Item]]") -> None:
        """Answer what can be answered now. Locked items, and items behind them with the same key, run apart."""
        keys_apart = {key for key in {waiting.key for waiting in batch} if self._apart.has(key)}
        late = {waiting for waiting in batch if waiting.key in keys_apart}
        for answered in self._answered([waiting for waiting in batch if waiting not in late]):
            answer([(waiting, outcome) for waiting, outcome in answered if outcome is not LOCKED])
            late |= {waiting for waiting, outcome in answered if outcome is LOCKED}
        for waiting in batch:
            if waiting in late:
                self._apart.add(waiting)

    def _answered(self, batch: "Sequence[Waiting[Item]]") -> "Iterator[Sequence[tuple[Waiting[Item], Outcome]]]":
        """The outcome of each, as soon as it is known."""
        if not batch:
            return
        try:
            outcomes = self._in_one_transaction(batch)
        except Exception as error:  # noqa: BLE001 - each member is told its own
            if is_unavailable(error) and not is_contended(error):
                yield [(waiting, error) for waiting in batch]  # one by one, each would wait for the database in turn
                return
            log.info("batch_runs_one_by_one", gatherer=self.name, size=len(batch), reason=type(error).__name__)
        else:
            yield list(zip(batch, outcomes, strict=True))
            return
        yield from self._one_by_one(batch)

    def _one_by_one(self, batch: "Sequence[Waiting[Item]]") -> "Iterator[Sequence[tuple[Waiting[Item], Outcome]]]":
        """Skip items behind a locked one of the same key. After the first one, the others wait less for locks."""
        locked: set[Hashable] = set()
        seconds = LOCK_SECONDS
        for waiting in batch:
            outcome = LOCKED if waiting.key in locked else self._alone(waiting, seconds)
            if outcome is LOCKED:
                seconds = IMPATIENT_LOCK_SECONDS
                locked |= {waiting.key} - {None}
            yield [(waiting, outcome)]

    def _in_one_transaction(
        self, batch: "Sequence[Waiting[Item]]", lock_seconds: float = LOCK_SECONDS
    ) -> Sequence[Outcome]:
        items = [waiting.item for waiting in batch]
        if self.is_reading:
            with running(self.name, batch, is_reading=True), self.database.reading() as session:
                return self.run(session, items, waits=False)
        with running(self.name, batch), self.database.transaction() as session:
            wait_briefly(session, lock_seconds)
            return self.run(session, items, waits=False)

    def _alone(self, waiting: "Waiting[Item]", lock_seconds: float) -> Outcome:
        """The outcome of one item in a transaction of its own."""
        try:
            return self._in_one_transaction([waiting], lock_seconds)[0]
        except Exception as error:  # noqa: BLE001 - it is answered
            return LOCKED if is_contended(error) else error
