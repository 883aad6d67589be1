"""The lifecycle and the record of incidents."""

from operator import itemgetter
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Query

from app.api.by_time import PaginatedByTimeDep, cursor_of
from app.api.deps import (
    AdminUser,
    AnyUser,
    CurrentUser,
    IncidentId,
    PaginatedDep,
    PagingDep,
    SessionDep,
    UserId,
)
from app.api.gathered import gathered
from app.api.idempotency import idempotent
from app.api.problems import problems
from app.api.transaction import TransactionalRoute
from app.api.usual import json_body, path_id, path_id_and_body
from app.api.v1.endpoints import escalation
from app.api.v1.endpoints.escalation import NOT_INVOLVED
from app.api.v1.endpoints.incident_filter import cheap_list, get_filter
from app.core.errors import AlertOpenElsewhere, InvalidInput, InvalidTransition, NotFound
from app.crud.incident_list import IncidentFilter
from app.crud.pagination import Slice, as_dicts
from app.schemas.incident import (
    ActionNote,
    AssignmentCreate,
    AssignmentRead,
    CommentCreate,
    CommentRead,
    IncidentCreate,
    IncidentDetail,
    IncidentRead,
    IncidentUpdate,
    Snooze,
    TimelineEventRead,
)
from app.schemas.notification import NotificationRead
from app.schemas.why import IncidentWhy
from app.services.delivery import delivery_record_service
from app.services.explain import why_service
from app.services.incidents import collaboration_service, incident_service, response_service

router = APIRouter(prefix="/incidents", tags=["incidents"], route_class=TransactionalRoute)

NoteBody = Annotated[ActionNote | None, Body(description="An optional comment to add to the incident")]
# Examples for OpenAPI.
NO_END = InvalidInput("Give ?hours=, or one of minutes, hours and until in the body.", pointer="hours")
NO_SNOOZE = InvalidTransition("A resolved incident can't be snoozed. Reopen it first.", possible=["reopen"])
NO_OWNER = InvalidInput("User 2 does not exist or is not active. Name an active user.", pointer="/assigned_to")
NOBODY = InvalidInput("User 2 does not exist or is not active. Name an active user.", pointer="/user_id")
NOT_ASSIGNED = NotFound("User 1 is not assigned to incident 1.")
OTHER_INCIDENT = InvalidInput(
    "incident_id is 2, but the path names incident 1. Leave it out, or make them the same.", pointer="/incident_id"
)
UPDATE_PROBLEMS = problems(NotFound, InvalidTransition, AlertOpenElsewhere, NO_OWNER)

WHOLE_RECORD = Slice(limit=500, max_bytes=1024 * 1024)


@router.get("")
@gathered(incident_service.search_each, reads=cheap_list, part_of=itemgetter(1), cursor_of=cursor_of, is_reading=True)
def list_incidents(
    wanted: Annotated[IncidentFilter, Depends(get_filter)],
    user: AnyUser,
    session: SessionDep,
    paginated: PaginatedByTimeDep,
) -> list[IncidentRead]:
    """List incidents, newest first. A filter may be repeated: an incident then matches any of its values."""
    incidents = incident_service.search(session, wanted, paginated.by_time)
    paginated.link_next(incidents)
    return [IncidentRead.model_validate(incident) for incident in as_dicts(incidents)]


@router.post("", status_code=201)
@idempotent
@gathered(incident_service.open_each, reads=json_body(IncidentCreate))
def create_incident(body: IncidentCreate, user: CurrentUser, session: SessionDep) -> IncidentRead:
    """Open an incident. Starts the escalation of every matching policy."""
    return IncidentRead.model_validate(incident_service.open(session, body, by=user))


@router.get("/{incident_id}", responses=problems(NotFound))
@gathered(collaboration_service.read_each, reads=path_id("incident_id"), is_reading=True)
def read_incident(incident_id: IncidentId, user: AnyUser, session: SessionDep) -> IncidentDetail:
    """Read an incident with its record.

    The record has the first 500 comments and the newest 500 timeline entries, at most 1 MiB of each. The lists of
    comments and of the timeline have all of them, page by page.
    """
    return collaboration_service.record_of(session, incident_id, WHOLE_RECORD).detail()


@router.put("/{incident_id}", responses=UPDATE_PROBLEMS)
def update_incident(
    incident_id: IncidentId, body: IncidentUpdate, user: CurrentUser, session: SessionDep
) -> IncidentRead:
    """Change an incident. Absent fields stay. A status follows the same transitions as the actions."""
    return IncidentRead.model_validate(incident_service.update(session, incident_id, body, by=user))


router.patch("/{incident_id}", responses=UPDATE_PROBLEMS, operation_id="patch_incident")(update_incident)


@router.delete("/{incident_id}", responses=problems(NotFound))
def delete_incident(incident_id: IncidentId, user: AdminUser, session: SessionDep) -> IncidentRead:
    """Delete an incident with its record: comments, timeline, pages. This cannot be undone. For administrators.

    Its unsent pages are not sent. The audit log keeps who deleted it, its title, service, severity and status.
    """
    return IncidentRead.model_validate(incident_service.delete(session, incident_id))


@router.post("/{incident_id}/acknowledge", responses=problems(NotFound, InvalidTransition))
@gathered(response_service.acknowledge_each, reads=path_id_and_body("incident_id", ActionNote), key_of=itemgetter(0))
def acknowledge_incident(
    incident_id: IncidentId, user: CurrentUser, session: SessionDep, body: NoteBody = None
) -> IncidentRead:
    """Acknowledge an incident. Paging stops, because somebody is on it. Acknowledging again changes nothing.

    You become an assignee, and the owner if there is none.
    """
    return IncidentRead.model_validate(response_service.acknowledge(session, incident_id, body, by=user))


@router.post("/{incident_id}/resolve", responses=problems(NotFound))
@gathered(response_service.resolve_each, reads=path_id_and_body("incident_id", ActionNote), key_of=itemgetter(0))
def resolve_incident(
    incident_id: IncidentId, user: CurrentUser, session: SessionDep, body: NoteBody = None
) -> IncidentRead:
    """Resolve an incident. Paging stops, because it is over. Resolving again changes nothing."""
    return IncidentRead.model_validate(response_service.resolve(session, incident_id, body, by=user))


@router.post("/{incident_id}/reopen", responses=problems(NotFound, AlertOpenElsewhere))
def reopen_incident(
    incident_id: IncidentId, user: CurrentUser, session: SessionDep, body: NoteBody = None
) -> IncidentRead:
    """Reopen an incident. Paging starts over. Reopening an open incident changes nothing."""
    incident = incident_service.reopen(session, incident_id, by=user)
    return IncidentRead.model_validate(collaboration_service.comment_with_action(session, incident, body, by=user))


@router.post("/{incident_id}/snooze", responses=problems(NotFound, NO_SNOOZE, NO_END))
def snooze_incident(
    incident_id: IncidentId,
    user: CurrentUser,
    session: SessionDep,
    hours: Annotated[
        float | None,
        Query(gt=0, le=720, allow_inf_nan=False, description="Hours to snooze for, unless the body says how long"),
    ] = None,
    body: Annotated[Snooze | None, Body()] = None,
) -> IncidentRead:
    """Snooze an incident. Paging pauses, then the incident reopens by itself.

    Give the time as `?hours=2` or in the body, not both. The body may also have a comment.
    """
    wanted = incident_service.snooze_of(hours, body)
    incident = incident_service.snooze(session, incident_id, wanted, by=user)
    return IncidentRead.model_validate(collaboration_service.comment_with_action(session, incident, body, by=user))


@router.post("/{incident_id}/assign", responses=problems(NotFound, NOBODY))
def assign_incident(
    incident_id: IncidentId, body: AssignmentCreate, user: CurrentUser, session: SessionDep
) -> AssignmentRead:
    """Assign a user to an incident. The first assignee owns the incident. Repeating it changes nothing."""
    return AssignmentRead.model_validate(collaboration_service.assign(session, incident_id, body, by=user))


@router.delete("/{incident_id}/assign/{user_id}", responses=problems(NOT_ASSIGNED))
def unassign_incident(
    incident_id: IncidentId, user_id: UserId, user: CurrentUser, session: SessionDep
) -> AssignmentRead:
    """Unassign a user from an incident. If they owned it, the next assignee becomes the owner."""
    return AssignmentRead.model_validate(collaboration_service.unassign(session, incident_id, user_id, by=user))


@router.get("/{incident_id}/comments", responses=problems(NotFound))
def list_comments(
    incident_id: IncidentId, user: AnyUser, session: SessionDep, paginated: PaginatedDep
) -> list[CommentRead]:
    """List the comments on an incident, oldest first."""
    comments = collaboration_service.comments(session, incident_id, paginated.part)
    paginated.link_next(comments)
    return [CommentRead.model_validate(comment) for comment in as_dicts(comments)]


@router.post("/{incident_id}/comments", responses=problems(NotFound, OTHER_INCIDENT))
@idempotent
def add_comment(incident_id: IncidentId, body: CommentCreate, user: CurrentUser, session: SessionDep) -> CommentRead:
    """Comment on an incident."""
    collaboration_service.require_same_incident(incident_id, body.incident_id)
    return CommentRead.model_validate(collaboration_service.comment(session, incident_id, body.content, by=user))


@router.get("/{incident_id}/timeline", responses=problems(NotFound))
def list_timeline(
    incident_id: IncidentId, user: AnyUser, session: SessionDep, paginated: PaginatedDep
) -> list[TimelineEventRead]:
    """List every change of an incident, newest first. Each entry says who did what, with its data."""
    events = collaboration_service.timeline(session, incident_id, paginated.part)
    paginated.link_next(events)
    return [TimelineEventRead.model_validate(event) for event in as_dicts(events)]


@router.get("/{incident_id}/notifications", responses=problems(NOT_INVOLVED, NotFound))
def list_incident_notifications(
    incident_id: IncidentId, user: AnyUser, session: SessionDep, paginated: PaginatedDep
) -> list[NotificationRead]:
    """List the messages sent about an incident, newest first, with every attempt.

    For administrators, its creator, its assignees, and people who were paged for it or acknowledged it. Only
    administrators see the full address of somebody else.
    """
    deliveries = delivery_record_service.deliveries_of(session, incident_id, paginated.part, user=user)
    paginated.link_next(deliveries)
    return deliveries


@router.get("/{incident_id}/why", responses=problems(NOT_INVOLVED, NotFound))
def explain_incident(incident_id: IncidentId, user: AnyUser, paging: PagingDep, session: SessionDep) -> IncidentWhy:
    """Explain who was paged about an incident, who was not, and why.

    For administrators, its creator, its assignees, and people who were paged for it or acknowledged it.
    """
    return why_service.explain(session, incident_id, paging, user=user)


router.include_router(escalation.incident_router)
