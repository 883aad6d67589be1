"""Escalation policies, and the escalation of one incident."""

from typing import Annotated

from fastapi import APIRouter, Body, Query
from sqlalchemy.orm import Session

from app.api.deps import AdminUser, AnyUser, CurrentUser, IncidentId, PaginatedDep, PagingDep, PolicyId, SessionDep
from app.api.idempotency import idempotent
from app.api.problems import problems
from app.api.transaction import TransactionalRoute
from app.core.errors import DuplicatePolicyName, InvalidInput, NotFound, PermissionDenied
from app.crud.pagination import as_dicts
from app.models import EscalationPolicy
from app.schemas.escalation import EscalationEventRead, PolicyCreate, PolicyRead, PolicyUpdate
from app.schemas.incident import ActionNote, IncidentRead
from app.schemas.preview import EscalationPreview, PreviewRequest
from app.services.explain import preview_service
from app.services.incidents import collaboration_service
from app.services.policies import (
    manual_escalation_service,
    policy_service,
    policy_warning_service,
    step_record_service,
)
from app.services.ports import Paging

router = APIRouter(
    prefix="/escalation",
    tags=["escalation"],
    route_class=TransactionalRoute,
)


# Examples for OpenAPI.
NOBODY = InvalidInput(
    "User 2 does not exist or is not active. Name an active user.", pointer="/steps/0/actions/0/user_id"
)
TOO_FAR = InvalidInput("A preview looks at most ten years back or ahead. Set a closer time.", pointer="/at")
NOT_INVOLVED = PermissionDenied(
    "Only administrators and people involved in the incident may do this: its creator, its assignees, and "
    "anybody who was paged for it or acknowledged it."
)

HasWarnings = Annotated[bool | None, Query(description="Only policies with warnings (true) or without (false)")]


def _read(session: Session, policy: EscalationPolicy, paging: Paging) -> PolicyRead:
    [warnings] = policy_warning_service.warnings(session, [policy], paging)
    return PolicyRead.of(policy, warnings)


@router.get("/policies")
def list_policies(
    user: AdminUser,
    paging: PagingDep,
    session: SessionDep,
    paginated: PaginatedDep,
    has_warnings: HasWarnings = None,
) -> list[PolicyRead]:
    """List escalation policies, oldest first."""
    found = policy_warning_service.list_policies(session, paginated.part, paging, has_warnings=has_warnings)
    paginated.link_next(found.map(lambda pair: pair[0]))
    return [PolicyRead.of(policy, warnings) for policy, warnings in found]


@router.post("/policies", status_code=201, responses=problems(DuplicatePolicyName, NOBODY))
@idempotent
def create_policy(body: PolicyCreate, user: AdminUser, paging: PagingDep, session: SessionDep) -> PolicyRead:
    """Add an escalation policy. It also starts to escalate the open incidents it matches."""
    return _read(session, policy_service.create(session, body, paging), paging)


@router.get("/policies/{policy_id}", responses=problems(NotFound))
def read_policy(policy_id: PolicyId, user: AdminUser, paging: PagingDep, session: SessionDep) -> PolicyRead:
    """Read an escalation policy."""
    return _read(session, policy_service.get(session, policy_id), paging)


@router.put("/policies/{policy_id}", responses=problems(NotFound, DuplicatePolicyName, NOBODY))
def update_policy(
    policy_id: PolicyId, body: PolicyUpdate, user: AdminUser, paging: PagingDep, session: SessionDep
) -> PolicyRead:
    """Change an escalation policy. Absent fields stay. Running escalations keep the steps they started with."""
    return _read(session, policy_service.update(session, policy_id, body, paging), paging)


@router.delete("/policies/{policy_id}", responses=problems(NotFound))
def delete_policy(policy_id: PolicyId, user: AdminUser, paging: PagingDep, session: SessionDep) -> PolicyRead:
    """Delete an escalation policy. Its escalations end. The events of its steps are kept."""
    return _read(session, policy_service.delete(session, policy_id), paging)


@router.post("/preview", responses=problems(TOO_FAR))
def preview_escalation(
    body: PreviewRequest, user: AdminUser, paging: PagingDep, session: SessionDep
) -> EscalationPreview:
    """Preview whom the policies would page. Nothing is sent or saved, not even the policy given here."""
    return preview_service.preview(session, body, paging, by=user)


@router.get("/incidents/{incident_id}/escalation-events", responses=problems(NOT_INVOLVED, NotFound))
def list_escalation_events(
    incident_id: IncidentId, user: AnyUser, session: SessionDep, paginated: PaginatedDep
) -> list[EscalationEventRead]:
    """List the steps that fired for an incident, oldest first.

    This is the canonical path: `/v1/incidents/{incident_id}/escalation-events` is an alias. For
    administrators, its creator, its assignees, and people who were paged for it or acknowledged it.
    """
    events = step_record_service.list_events(session, incident_id, paginated.part, user=user)
    paginated.link_next(events)
    return [EscalationEventRead.model_validate(event) for event in as_dicts(events)]


@router.post("/incidents/{incident_id}/escalate", responses=problems(NOT_INVOLVED, NotFound))
def escalate_incident(
    incident_id: IncidentId,
    user: CurrentUser,
    paging: PagingDep,
    session: SessionDep,
    body: Annotated[ActionNote | None, Body(description="An optional comment to add to the incident")] = None,
) -> IncidentRead:
    """Escalate an incident now. Fires the next step of every policy that matches, or did when its escalation started.

    If there is none, the administrators are paged. A snoozed incident reopens, an acknowledged one stays acknowledged,
    a resolved one does not change. A second call within ten seconds changes nothing. For administrators, the
    incident's creator, its assignees, and people who were paged for it or acknowledged it. This is the canonical path:
    `/v1/incidents/{incident_id}/escalate` is an alias.
    """
    incident = manual_escalation_service.escalate_now(session, incident_id, paging, by=user)
    return IncidentRead.model_validate(collaboration_service.comment_with_action(session, incident, body, by=user))


# The same two under the incident itself, where people also look for them.
ALIAS = "The same as `{} /v1/escalation/incidents/{{incident_id}}/{}`. Use that one; this path keeps working."

incident_router = APIRouter(route_class=TransactionalRoute, deprecated=True)
incident_router.get(
    "/{incident_id}/escalation-events",
    responses=problems(NOT_INVOLVED, NotFound),
    operation_id="list_incident_escalation_events",
    description=f"List an incident's steps that fired, by another path. {ALIAS.format('GET', 'escalation-events')}",
)(list_escalation_events)
incident_router.post(
    "/{incident_id}/escalate",
    responses=problems(NOT_INVOLVED, NotFound),
    operation_id="escalate_incident_now",
    description=f"Escalate an incident now, by another path. {ALIAS.format('POST', 'escalate')}",
)(escalate_incident)
