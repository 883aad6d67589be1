"""The messages that a lane is sending, and how many it should hold at once."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, as_completed
from queue import Empty, SimpleQueue

from app.models import Notification
from app.services.delivery.recording_service import Attempt

HOLD_SECONDS = 0.2
MOST = 200


class Flight:
    """The messages that threads are sending."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._running: dict[Future[Attempt | None], Notification] = {}
        self._ended: SimpleQueue[Future[Attempt | None]] = SimpleQueue()

    def __len__(self) -> int:
        return len(self._running)

    def start(self, message: Notification, send: Callable[[], Attempt | None]) -> None:
        """Let a thread send a message."""
        future = self._threads.submit(send)
        self._running[future] = message
        future.add_done_callback(self._ended.put)

    def ended(self, *, within: float) -> list[Attempt]:
        """What has ended, all together. Waits so many seconds for the first, and returns nothing if none ends."""
        ended = []
        try:
            ended.append(self._ended.get(timeout=within))
            while True:
                ended.append(self._ended.get_nowait())
        except Empty:
            pass
        for future in ended:
            del self._running[future]
        return [attempt for attempt in (future.result() for future in ended) if attempt is not None]

    def not_begun(self) -> list[Notification]:
        """Take back the messages that no thread has begun to send."""
        taken_back = [future for future in self._running if future.cancel()]
        return [self._running.pop(future) for future in taken_back]

    def rest(self) -> Iterator[Attempt]:
        """What ends from now on, one by one, until nothing is left."""
        for future in as_completed(list(self._running)):
            attempt = future.result()
            if attempt is not None:
                yield attempt


class Pace:
    """How many messages to hold: what was sent in the last fifth of a second, and at least two for each thread.

    With more, messages would wait here although another worker could send them; with fewer, threads would wait for the
    next claim. `clock` returns seconds.
    """

    def __init__(self, width: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._least = 2 * width
        self._clock = clock
        self._sent: deque[tuple[float, int]] = deque()

    def note(self, sent: int) -> None:
        """Count messages that have been sent."""
        self._sent.append((self._clock(), sent))

    def room(self) -> int:
        while self._sent and self._sent[0][0] < self._clock() - HOLD_SECONDS:
            self._sent.popleft()
        return max(self._least, min(sum(number for _, number in self._sent), MOST))
