"""What a gathered request is while it waits, and how its outcome gets back to it."""

import asyncio
import os
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import structlog
from sqlalchemy.orm import Session
from structlog.contextvars import bound_contextvars

from app.core import spans, tracing
from app.core.plain_lines import PlainLines
from app.core.spans import Kind

log = structlog.get_logger()
lines = PlainLines(__name__)

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)

Outcome = Any  # the answer, a DomainError that refuses the item, or LOCKED


class Batch(Protocol[Item_contra]):
    """What runs a batch in one transaction. It returns one outcome for each item, in their order.

    `waits` says whether it may wait for rows that others have locked; if not, it skips them and says LOCKED.
    """

    def __call__(self, session: Session, items: Sequence[Item_contra], *, waits: bool) -> Sequence[Outcome]: ...


@dataclass(frozen=True, slots=True, eq=False)
class Waiting(Generic[Item]):
    """An item, and the future and event loop on which its outcome is awaited."""

    item: Item
    key: Hashable
    future: "asyncio.Future[Any]"
    loop: asyncio.AbstractEventLoop
    request_id: str | None
    traceparent: str | None = None


def still_wanted(batch: "Iterable[Waiting[Item]]") -> "list[Waiting[Item]]":
    """Those whose client has not left."""
    return [waiting for waiting in batch if not waiting.future.cancelled()]


def running(
    gatherer: str, batch: "Sequence[Waiting[Any]]", *, is_reading: bool = False
) -> AbstractContextManager[object]:
    """Name the request in the log entries and statements of a batch of one.

    A larger one has a name and a trace of its own; logs which requests it has, at DEBUG if it is reading.
    """
    if len(batch) == 1:
        return tracing.following(batch[0].traceparent, request_id=batch[0].request_id)
    return _together(gatherer, batch, is_reading=is_reading)


@contextmanager
def _together(gatherer: str, batch: "Sequence[Waiting[Any]]", *, is_reading: bool) -> Iterator[None]:
    batch_id = os.urandom(8).hex()
    causes = [one.traceparent for one in batch if one.traceparent is not None]
    together = spans.span(f"gathered {gatherer}", Kind.INTERNAL, parent=None, links=causes)
    with together, bound_contextvars(batch=batch_id):
        about = {"gatherer": gatherer, "request_ids": [one.request_id for one in batch]}
        if is_reading:
            log.debug("requests_gathered", **about)
        else:
            lines.info("requests_gathered", about)
        yield


def answer(pairs: "Iterable[tuple[Waiting[Any], Outcome]]") -> None:
    """Hand outcomes to the event loops on which they are awaited, with one call for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Outcome]]] = {}
    for waiting, outcome in pairs:
        by_loop.setdefault(waiting.loop, []).append((waiting.future, outcome))
    for loop, outcomes in by_loop.items():
        loop.call_soon_threadsafe(_settle, outcomes)


def _settle(outcomes: "list[tuple[asyncio.Future[Any], Outcome]]") -> None:
    for future, outcome in outcomes:
        if future.done():  # its client has left
            continue
        if isinstance(outcome, BaseException):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)
