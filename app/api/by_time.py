"""Pages of lists by time, whose cursors are opaque texts."""

import re
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from pydantic import AfterValidator, Field

from app.api.deps import CURSOR, DEFAULT_LIMIT, Limit, Paginated, Skip
from app.core.security import MAX_ID
from app.crud.time_slice import CURSOR as CURSOR_PATTERN
from app.crud.time_slice import NEWEST, Place, TimeSlice


def _known(cursor: str) -> str:
    is_id = cursor.isascii() and cursor.isdecimal() and len(cursor) <= len(str(MAX_ID)) and int(cursor) <= MAX_ID
    if not (is_id or re.fullmatch(CURSOR_PATTERN, cursor)):
        raise ValueError("is not valid. Use the one in the Link header of the previous page, or leave it out")
    return cursor


Cursor = Annotated[
    Annotated[str, AfterValidator(_known), Field(json_schema_extra={"pattern": CURSOR_PATTERN})] | None,
    Query(description=CURSOR),
]


def place_of(cursor: str | None) -> Place | int:
    """Where the previous page ended. Cursors of the previous release are the id of its last row."""
    if cursor is None:
        return NEWEST
    return int(cursor) if len(cursor) <= len(str(MAX_ID)) else Place.of_cursor(cursor)


def cursor_of(item: Any) -> str:
    """The cursor of the page that ends with an item."""
    return Place(item.created_at, item.id).cursor()


class PaginatedByTime(Paginated):
    """As Paginated, for a list that has the newest first."""

    def __init__(
        self,
        request: Request,
        response: Response,
        skip: Skip = 0,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> None:
        super().__init__(request, response, skip, limit)
        self.by_time = TimeSlice(limit=limit, skip=skip, before=place_of(cursor))

    def cursor_of(self, item: Any) -> str:
        return cursor_of(item)


async def _get_paginated(paginated: Annotated[PaginatedByTime, Depends()]) -> PaginatedByTime:
    return paginated


PaginatedByTimeDep = Annotated[PaginatedByTime, Depends(_get_paginated)]
