"""Answers a long list as JSON Lines: one object on each line, read and sent in batches.

Between two batches it holds neither a thread nor a connection, however slowly the client reads. https://jsonlines.org
"""

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import TypeVar

from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from app.crud.pagination import Page
from app.crud.time_slice import Place, TimeSlice
from app.db.session import Database
from app.schemas.base import Read
from app.services.contacts.name_service import put_names

MEDIA_TYPE = "application/x-ndjson"
BATCH = 500

Item = TypeVar("Item")
# A slice of a list by time: the answers, and the place where they end; None if it is the last one.
Batch = tuple[Sequence[Read], Place | None]


class ListFormat(StrEnum):
    """How a list is answered."""

    JSON = "json"
    JSONL = "jsonl"


def json_lines(database: Database, batch: Callable[[Session, TimeSlice], Batch], part: TimeSlice) -> StreamingResponse:
    """All of a list after a place, batch by batch, each in a transaction of its own."""
    return StreamingResponse(_lines(database, batch, part.before), media_type=MEDIA_TYPE)


def end_of(page: Page[Item], part: TimeSlice, place: Callable[[Item], Place]) -> Place | None:
    """Where a page ends; None if nothing follows it."""
    return None if part.has_all(page) else place(page[-1])


def _lines(
    database: Database, batch: Callable[[Session, TimeSlice], Batch], place: Place | int | None
) -> Iterator[bytes]:
    while place is not None:
        with database.transaction() as session:
            answers, place = batch(session, TimeSlice(limit=BATCH, before=place))
            put_names(session, [list(answers)])
        yield b"".join(answer.model_dump_json(by_alias=True).encode() + b"\n" for answer in answers)
