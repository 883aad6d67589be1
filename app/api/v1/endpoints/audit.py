"""Who changed what: the audit log, for administrators."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import StringConstraints
from sqlalchemy.orm import Session

from app.api import json_lines
from app.api.by_time import PaginatedByTimeDep
from app.api.deps import AdminUser, DatabaseDep, FilterId, SessionDep
from app.api.json_lines import ListFormat
from app.api.problems import problems
from app.api.transaction import TransactionalRoute
from app.core.audit_actions import AuditAction
from app.core.errors import InvalidInput
from app.crud.crud_audit import AuditFilter
from app.crud.time_slice import Place, TimeSlice
from app.models import AuditEntry
from app.schemas.audit import AuditRead
from app.schemas.types import GivenTime, Storable
from app.services.operations import audit_list_service

router = APIRouter(prefix="/audit", tags=["audit"], route_class=TransactionalRoute)

ObjectWord = Annotated[str, StringConstraints(min_length=1, max_length=255), Storable]
Format = Annotated[
    ListFormat,
    Query(description="`jsonl` streams all entries that match as JSON Lines; `limit` and `skip` do not count then"),
]
LINES = {"responses": {"200": {"content": {json_lines.MEDIA_TYPE: {"schema": {"type": "string"}}}}}}
NO_TYPE = InvalidInput("object_id needs object_type. Add it, such as object_type=user.", pointer="object_id")


async def get_filter(
    actor_id: Annotated[FilterId | None, Query(description="Who did it")] = None,
    action: Annotated[AuditAction | None, Query(description="What was done")] = None,
    object_type: Annotated[
        ObjectWord | None, Query(description="The type of object it was done to, such as `user` or `policy`")
    ] = None,
    object_id: Annotated[
        ObjectWord | None, Query(description="The object's id: with its type, the list is the object's own history")
    ] = None,
    after: Annotated[GivenTime | None, Query(description="At this time or later")] = None,
    before: Annotated[GivenTime | None, Query(description="Before this time")] = None,
) -> AuditFilter:
    """All filters that are given must hold."""
    return AuditFilter(actor_id, action, object_type, object_id, after, before)


@router.get("", response_model=list[AuditRead], responses=problems(NO_TYPE), openapi_extra=LINES)
def list_audit_entries(
    wanted: Annotated[AuditFilter, Depends(get_filter)],
    user: AdminUser,
    session: SessionDep,
    database: DatabaseDep,
    paginated: PaginatedByTimeDep,
    format: Format = ListFormat.JSON,  # noqa: A002 - the parameter's name
) -> Any:
    """List changes of configuration and access, newest first. For administrators.

    Each entry says who did it, by which session or API key, from where, and what changed from what to what, without
    secrets. Filter by `object_type` and `object_id` for the history of one object.
    """
    found = audit_list_service.entries(session, wanted, paginated.by_time)
    if format is ListFormat.JSONL:
        return json_lines.json_lines(database, partial(_batch, wanted), paginated.by_time)
    paginated.link_next(found)
    return audit_list_service.read(session, found)


def _batch(wanted: AuditFilter, session: Session, part: TimeSlice) -> tuple[Sequence[AuditRead], Place | None]:
    found = audit_list_service.entries(session, wanted, part)
    return audit_list_service.read(session, found), json_lines.end_of(found, part, _place)


def _place(entry: AuditEntry) -> Place:
    return Place(entry.created_at, entry.id)
