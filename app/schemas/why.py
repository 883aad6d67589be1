"""Explanations of who was paged about an incident, on the wire."""

from pydantic import Field

from app.core.vocabulary import EscalationState
from app.schemas.base import Read
from app.schemas.preview import ConditionRead
from app.schemas.types import EXAMPLE_TIME, Time


class ReasonRead(Read):
    """One reason, for programs (`code`) and for people (`sentence`)."""

    code: str = Field(
        examples=["accepted"],
        description="delivered, accepted, sending, retrying, waiting, held, failed, cancelled, bundled, fell_back, "
        "nobody_else, no_policy_matched, no_account, "
        "skipped, not_due, would_skip, quarantined, stopped, policy_mismatch, last_resort or not_named",
    )
    sentence: str = Field(examples=["Paged Ada Lovelace by e-mail: accepted at 2026-01-20 10:30:00 UTC."])
    at: Time | None = Field(examples=[EXAMPLE_TIME])
    channel: str | None = Field(examples=["email"])
    detail: str | None = Field(examples=["quiet"], description="Why a channel is skipped, or what failed")
    policy_id: int | None
    step: int | None = Field(description="From 0")
    notification_id: int | None


class PersonWhy(Read):
    """One person, and the reasons why they were paged or not."""

    recipient: str = Field(examples=["user:1"])
    user_id: int | None
    name: str | None
    reasons: list[ReasonRead]


class PolicyWhy(Read):
    """One active policy: whether it matches the incident as it is now, and where its escalation stands."""

    policy_id: int
    name: str
    matches: bool
    conditions: list[ConditionRead]
    state: EscalationState | None
    next_run_at: Time | None
    sentence: str = Field(examples=["“Critical” does not match: severity is low, not critical."])


class IncidentWhy(Read):
    """Why people were paged in the current cycle of an incident, and why others were not."""

    incident_id: int
    cycle: int
    people: list[PersonWhy]
    no_policy_matched: bool = Field(default=False, description="No policy matches: see UNMATCHED_INCIDENTS")
    policies: list[PolicyWhy]
