"""Escalation policies, and the escalation of one incident."""

from fastapi import APIRouter

from app.api.deps import AdminUser, CurrentUser, IncidentId, PaginatedDep, PagingDep, PolicyId, SessionDep
from app.api.errors import problems
from app.api.idempotency import idempotent
from app.api.transaction import TransactionalRoute
from app.models import EscalationPolicy
from app.schemas.escalation import EscalationEventRead, PolicyCreate, PolicyRead, PolicyUpdate
from app.schemas.incident import IncidentRead
from app.schemas.preview import EscalationPreview, PreviewRequest
from app.services.explain import preview_service
from app.services.policies import manual_escalation_service, policy_check_service, policy_service, step_record_service
from app.services.ports import Paging

router = APIRouter(
    prefix="/escalation",
    tags=["escalation"],
    route_class=TransactionalRoute,
    responses=problems(403),
)


def _read(policy: EscalationPolicy, paging: Paging) -> PolicyRead:
    read = PolicyRead.model_validate(policy)
    return read.model_copy(update={"warnings": policy_check_service.warnings(policy, paging.channels)})


@router.get("/policies")
def list_policies(user: AdminUser, paging: PagingDep, session: SessionDep, paginated: PaginatedDep) -> list[PolicyRead]:
    """List escalation policies, oldest first."""
    policies = policy_service.list_policies(session, paginated.part)
    paginated.link_next(policies)
    return [_read(policy, paging) for policy in policies]


@router.post("/policies", status_code=201, responses=problems(409))
@idempotent
def create_policy(body: PolicyCreate, user: AdminUser, paging: PagingDep, session: SessionDep) -> PolicyRead:
    """Add an escalation policy. It also begins to escalate the open incidents that it matches."""
    return _read(policy_service.create(session, body, paging), paging)


@router.get("/policies/{policy_id}", responses=problems(404))
def read_policy(policy_id: PolicyId, user: AdminUser, paging: PagingDep, session: SessionDep) -> PolicyRead:
    """Read an escalation policy."""
    return _read(policy_service.get(session, policy_id), paging)


@router.put("/policies/{policy_id}", responses=problems(404, 409))
def update_policy(
    policy_id: PolicyId, body: PolicyUpdate, user: AdminUser, paging: PagingDep, session: SessionDep
) -> PolicyRead:
    """Change an escalation policy. What is absent stays. Escalations that run keep the steps they began with."""
    return _read(policy_service.update(session, policy_id, body, paging), paging)


@router.delete("/policies/{policy_id}", responses=problems(404))
def delete_policy(policy_id: PolicyId, user: AdminUser, paging: PagingDep, session: SessionDep) -> PolicyRead:
    """Delete an escalation policy. Its escalations end; the events of its steps are kept."""
    return _read(policy_service.delete(session, policy_id), paging)


@router.post("/preview")
def preview_escalation(
    body: PreviewRequest, user: AdminUser, paging: PagingDep, session: SessionDep
) -> EscalationPreview:
    """Try out whom the policies would page. Nothing is written or sent, and the policy given here is not saved."""
    return preview_service.preview(session, body, paging, by=user)


@router.get("/incidents/{incident_id}/escalation-events", responses=problems(404))
def list_escalation_events(
    incident_id: IncidentId, user: CurrentUser, session: SessionDep, paginated: PaginatedDep
) -> list[EscalationEventRead]:
    """List the steps that fired for an incident, oldest first. For admins, its creator and its assignees."""
    events = step_record_service.list_events(session, incident_id, paginated.part, user=user)
    paginated.link_next(events)
    return [EscalationEventRead.model_validate(event) for event in events]


@router.post("/incidents/{incident_id}/escalate", responses=problems(404))
def escalate_incident(
    incident_id: IncidentId, user: CurrentUser, paging: PagingDep, session: SessionDep
) -> IncidentRead:
    """Escalate an incident now. The next step fires of every policy that matches, or did when its escalation began.

    If there is none, the administrators are paged. A snoozed incident opens, an acknowledged one stays so, a resolved
    one does not change. A second call within ten seconds changes nothing. For admins, the incident's creator and its
    assignees.
    """
    return IncidentRead.model_validate(manual_escalation_service.escalate_now(session, incident_id, paging, by=user))


# The same two under the incident itself.
incident_router = APIRouter(route_class=TransactionalRoute, responses=problems(403))
incident_router.get(
    "/{incident_id}/escalation-events",
    responses=problems(404),
    operation_id="list_incident_escalation_events",
)(list_escalation_events)
incident_router.post("/{incident_id}/escalate", responses=problems(404), operation_id="escalate_incident_now")(
    escalate_incident
)
