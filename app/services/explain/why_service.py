"""Explains who was paged about an incident, who was not, and why. Only reads."""

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from app.core.vocabulary import EscalationState
from app.models import Escalation, User
from app.schemas.preview import ConditionRead
from app.schemas.why import IncidentWhy, PersonWhy, PolicyWhy, ReasonRead
from app.services.contacts.address import masked
from app.services.contacts.directory_service import Directory
from app.services.explain import why, why_facts_service, why_reasons
from app.services.explain.why_facts_service import Matched
from app.services.explain.why_reasons import Reason
from app.services.incidents import collaboration_service, incident_service
from app.services.ports import Paging


def explain(session: Session, incident_id: int, paging: Paging, *, user: User) -> IncidentWhy:
    """Why each person was paged in the incident's current cycle, or was not. Raises NotFound, PermissionDenied."""
    incident = incident_service.get(session, incident_id)
    collaboration_service.require_involved(session, incident, user)
    known = why_facts_service.gather(session, incident, paging, user=user)
    rows = {row.policy_id: row for row in known.escalations}
    return IncidentWhy(
        incident_id=incident_id,
        cycle=incident.cycle,
        no_policy_matched=incident.is_unmatched,
        people=_people(known.directory, why.explain(known.facts)),
        policies=[_policy(matched, rows.get(matched.policy.policy_id)) for matched in known.policies],
    )


def _people(directory: Directory, reasons: Mapping[str, Sequence[Reason]]) -> list[PersonWhy]:
    ids = {key: int(key.removeprefix("user:")) for key in reasons if key.startswith("user:")}
    return [
        PersonWhy(
            recipient=key if key in ids else f"email:{masked(key.removeprefix('email:'))}",
            user_id=ids.get(key),
            name=directory.name_of(ids[key]) if key in ids else None,
            reasons=[ReasonRead.model_validate(reason) for reason in told],
        )
        for key, told in reasons.items()
    ]


def _policy(matched: Matched, row: Escalation | None) -> PolicyWhy:
    return PolicyWhy(
        policy_id=matched.policy.policy_id,
        name=matched.policy.name,
        matches=why.holds(matched.conditions),
        conditions=[ConditionRead.model_validate(condition) for condition in matched.conditions],
        state=row.state if row else None,
        next_run_at=row.next_run_at if row else None,
        sentence=_sentence(matched, row),
    )


def _sentence(matched: Matched, row: Escalation | None) -> str:
    if why.holds(matched.conditions):
        return why_reasons.match(matched.policy.name, row.next_run_at if row and row.quarantined_at else None)
    is_running = row is not None and row.state is EscalationState.RUNNING
    return why_reasons.mismatch(matched.policy.name, matched.conditions, is_running=is_running)
