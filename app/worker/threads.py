"""Threads that end with the process."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from threading import Thread
from typing import Any

Work = tuple["Future[Any]", Callable[[], Any]]


class DaemonThreads(Executor):
    """A pool of daemon threads.

    At exit the interpreter waits for the threads of a ThreadPoolExecutor, so a provider that hangs would keep the
    process alive past its deadline. A message that is cut off here is sent again after its lease expires.
    """

    def __init__(self, width: int, name: str) -> None:
        self._width = width
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        for number in range(width):
            Thread(target=self._run, name=f"{name}-{number}", daemon=True).start()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self._work.put((future, lambda: function(*args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - the base's names
        """End each thread after its current work. Never waits, whatever `wait` says."""
        for _ in range(self._width):
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            future, function = work
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
                future.set_exception(error)
