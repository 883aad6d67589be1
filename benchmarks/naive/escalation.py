"""Starts and stops the escalation policies of an incident."""

from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from sqlalchemy import select
from sqlalchemy.orm import Session

from benchmarks.naive.models import Escalation, EscalationPolicy, Incident, TimelineEvent


def start(session: Session, incident: Incident) -> None:
    """Begin every active policy that matches."""
    policies = session.scalars(select(EscalationPolicy).where(EscalationPolicy.is_active)).all()
    for policy in policies:
        if not matches(policy, incident):
            continue
        due_at = datetime.now(UTC) + timedelta(minutes=policy.steps[0]["delay_minutes"])
        incident.escalations.append(Escalation(policy_id=policy.id, state="running", next_run_at=due_at))
        incident.timeline_events.append(
            TimelineEvent(
                event_type="escalation_started",
                description=f"Escalation by policy {policy.name} started.",
                metadata_={"policy_id": policy.id, "first_step_due_at": due_at.isoformat()},
            )
        )


def matches(policy: EscalationPolicy, incident: Incident) -> bool:
    """All conditions must hold; of a list of values one must."""
    for attribute, wanted in policy.conditions.items():
        found = getattr(incident, attribute)
        if not any(fnmatchcase(found, value) for value in wanted):
            return False
    return True


def stop(incident: Incident) -> None:
    """Nothing more is due."""
    for escalation in incident.escalations:
        if escalation.state == "running":
            escalation.state, escalation.next_run_at = "stopped", None
