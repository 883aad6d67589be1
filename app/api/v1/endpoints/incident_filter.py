"""What clients may ask of the list of incidents."""

from typing import Annotated, Any, Self

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.api.deps import DEFAULT_LIMIT, MAX_LIMIT, Alternatives, FilterId
from app.api.usual import query
from app.core.vocabulary import IncidentStatus, Severity
from app.crud.incident_list import IncidentFilter
from app.crud.time_slice import CURSOR, NEWEST, Place, TimeSlice
from app.schemas.types import GivenTime, SearchWords, Storable

Words = Annotated[SearchWords, Query(description="Up to 6 words to search for in title, description and service")]
Name = Annotated[str, Storable]
SHARED_BYTES = 256 * 1024  # of a list that is read with others


async def get_filter(
    status: Annotated[Alternatives[IncidentStatus], Query(description="Status is any of these values")] = [],  # noqa: B006 - FastAPI copies it
    severity: Annotated[Alternatives[Severity], Query(description="Severity is any of these values")] = [],  # noqa: B006
    service: Annotated[Alternatives[Name], Query(description="Service is any of these values, in full")] = [],  # noqa: B006
    source: Annotated[Alternatives[Name], Query(description="Source is any of these values: `api`, `elastic`")] = [],  # noqa: B006
    assigned_to: Annotated[Alternatives[FilterId], Query(description="The owner is any of these users")] = [],  # noqa: B006
    created_by: Annotated[Alternatives[FilterId], Query(description="The creator is any of these users")] = [],  # noqa: B006
    created_after: Annotated[GivenTime | None, Query(description="Opened at or after this time")] = None,
    created_before: Annotated[GivenTime | None, Query(description="Opened before this time")] = None,
    unmatched: Annotated[
        bool | None, Query(description="Only incidents that no policy matches (true), or that one does (false)")
    ] = None,
    q: Words = "",
) -> IncidentFilter:
    """A filter may be repeated: an incident matches any of its values."""
    return IncidentFilter(
        status=status,
        severity=severity,
        service=service,
        source=source,
        assigned_to=assigned_to,
        created_by=created_by,
        created_after=created_after,
        created_before=created_before,
        is_unmatched=unmatched,
        words=q.split(),
    )


class CheapList(BaseModel):
    """A list that an index has in its order, so that it holds up no other: it has one filter at most."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)
    cursor: str = Field(NEWEST.cursor(), pattern=CURSOR)
    status: IncidentStatus | None = None
    severity: Severity | None = None
    service: Name | None = None
    source: Name | None = None
    assigned_to: FilterId | None = None
    created_by: FilterId | None = None

    @model_validator(mode="after")
    def _one_filter(self) -> Self:
        if len(self.filters()) > 1:
            raise ValueError("more than one filter")
        return self

    def filters(self) -> dict[str, Any]:
        return self.model_dump(exclude={"limit", "cursor"}, exclude_none=True)


async def cheap_list(request: Request) -> tuple[IncidentFilter, TimeSlice]:
    """The filter and the slice of a cheap list. Raises Unusual for any other."""
    wanted = await _query(request)
    filters: dict[str, Any] = {name: (value,) for name, value in wanted.filters().items()}
    return IncidentFilter(**filters), _part_of(wanted)


def _part_of(wanted: CheapList) -> TimeSlice:
    return TimeSlice(wanted.limit, before=Place.of_cursor(wanted.cursor), max_bytes=SHARED_BYTES)


_query = query(CheapList)
