"""Runs what another transaction has locked apart from the batches: there it may wait, and holds up nobody else.

All that waits with one key waits for the same lock, so it shares a transaction once the lock is free.
"""

from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import count
from threading import Lock
from typing import Generic

from sqlalchemy.exc import OperationalError

from app.api.waiting import Batch, Item, Outcome, Waiting, answer, running, still_wanted
from app.db.session import Database, is_contended, is_deadlock, is_lock_timeout, is_unavailable

MAX_TOGETHER = 500
MAX_DEADLOCKS = 5


@dataclass(eq=False)
class Apart(Generic[Item]):
    """The items of one gatherer that wait for locks. Items with the same key are run in the order in which they came.

    Each of the `lanes` has one thread: what has a key keeps to one lane, and so its order.
    """

    name: str
    database: Database
    run: Batch[Item]
    lanes: Sequence[Executor]
    _behind: "dict[Hashable, deque[Waiting[Item]]]" = field(default_factory=dict, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)
    _turns: Iterator[int] = field(default_factory=count, init=False)

    def has(self, key: Hashable) -> bool:
        """True if an item with this key is here, so that later ones have to wait behind it."""
        return key in self._behind

    def add(self, waiting: "Waiting[Item]") -> None:
        """Let an item wait for its lock for as long as any other request would."""
        if waiting.key is None:
            self._lane(next(self._turns)).submit(self._answer, [waiting])
            return
        with self._lock:
            starts = waiting.key not in self._behind
            self._behind.setdefault(waiting.key, deque()).append(waiting)
        if starts:
            self._lane(hash(waiting.key)).submit(self._next, waiting.key)

    def _lane(self, number: int) -> Executor:
        return self.lanes[number % len(self.lanes)]

    def _next(self, key: Hashable) -> None:
        """In a lane: run all that waits with this key by now. What comes meanwhile has its turn after other keys."""
        with self._lock:
            behind = self._behind[key]
            batch = [behind.popleft() for _ in range(min(len(behind), MAX_TOGETHER))]
        try:
            self._answer(batch)
        finally:
            self._go_on(key)

    def _go_on(self, key: Hashable) -> None:
        with self._lock:
            if not self._behind[key]:
                del self._behind[key]
                return
        self._lane(hash(key)).submit(self._next, key)

    def _answer(self, members: "Sequence[Waiting[Item]]") -> None:
        """Run them in one transaction. Where one of them fails, each runs alone."""
        batch = still_wanted(members)
        if not batch:
            return
        try:
            with running(self.name, batch):
                outcomes = self._waiting_for_locks([waiting.item for waiting in batch])
        except BaseException as error:  # noqa: BLE001 - it is answered
            if len(batch) > 1 and not _meets_all(error):
                for waiting in batch:
                    self._answer([waiting])
                return
            outcomes = [error] * len(batch)
        answer(zip(batch, outcomes, strict=True))

    def _waiting_for_locks(self, items: Sequence[Item]) -> Sequence[Outcome]:
        for attempt in range(MAX_DEADLOCKS + 1):
            try:
                with self.database.transaction() as session:
                    return self.run(session, items, waits=True)
            except OperationalError as error:  # of two that waited for each other, one was chosen to try again
                if not is_deadlock(error) or attempt == MAX_DEADLOCKS:
                    raise
        raise AssertionError("unreachable")


def _meets_all(error: BaseException) -> bool:
    """True for an error that each would meet alone, one after the other: the lock is kept, or the database is away."""
    return is_lock_timeout(error) or (is_unavailable(error) and not is_contended(error))
