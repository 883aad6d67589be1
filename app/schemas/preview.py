"""Previews of what policies would do with an incident, on the wire."""

from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from app.core.vocabulary import Severity
from app.schemas.base import Input, Read
from app.schemas.escalation import PolicyCreate
from app.schemas.types import EXAMPLE_TIME, GivenTime, Id, ServiceName, SmallJsonObject, Time, Title, Word


class PreviewIncident(Input):
    """A made-up incident. If its source is `api`, its creator is the caller."""

    severity: Severity
    service: ServiceName
    source: Word = "api"
    title: Title = "Preview"
    metadata: SmallJsonObject = Field(default_factory=dict)
    assigned_to: Id | None = None


class PreviewRequest(Input):
    """What to preview: an existing incident or a made-up one. `policy` is tried together with the saved policies."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"incident": {"severity": "critical", "service": "database"}},
                {"incident_id": 1, "policy": {"name": "Draft", "actions": [{"type": "notify", "target": "admins"}]}},
            ]
        }
    )

    incident_id: Id | None = None
    incident: PreviewIncident | None = None
    policy: PolicyCreate | None = None
    at: GivenTime | None = Field(default=None, description="When the escalation starts; null: now")

    @model_validator(mode="after")
    def _one_incident(self) -> Self:
        if (self.incident_id is None) == (self.incident is None):
            raise ValueError("Give incident_id or incident, not both.")
        return self


class ConditionRead(Read):
    """One condition of a policy: the values it accepts, and the incident's value."""

    attribute: str = Field(examples=["severity"])
    wanted: list[Any] = Field(examples=[["critical"]])
    found: Any = Field(examples=["low"])
    holds: bool


class PersonPreview(Read):
    """One page, or the reason why there is none (`skipped`)."""

    recipient: str = Field(examples=["user:1"])
    user_id: int | None
    name: str | None
    channel: str | None = Field(examples=["email"])
    address: str | None = Field(
        examples=["a***@example.com"], description="The first and last characters of the address"
    )
    skipped: str | None = Field(examples=["quiet"])


class ActionPreview(Read):
    """One action. Only `notify` pages people."""

    type: str = Field(examples=["notify"])
    people: list[PersonPreview]


class StepPreview(Read):
    """One step. `due_at` is null if an earlier step ends the escalation."""

    step: int = Field(description="From 0")
    delay_minutes: float
    due_at: Time | None = Field(examples=[EXAMPLE_TIME])
    actions: list[ActionPreview]


class PolicyPreview(Read):
    """One policy. Its steps are listed if it matches.

    `then_paged` are the administrators, paged at `then_paged_at` if no step reaches anybody, or if a step acknowledges
    or resolves the incident before anybody was paged.
    """

    policy_id: int | None = Field(description="null: the policy in the request")
    name: str
    matches: bool
    conditions: list[ConditionRead]
    steps: list[StepPreview]
    reaches_nobody: bool
    then_paged: list[PersonPreview]
    then_paged_at: Time | None = Field(default=None, examples=[EXAMPLE_TIME])
    warnings: list[str] = Field(default=[], description="What does not work as written")


class EscalationPreview(Read):
    """What would happen if nobody acknowledged. Lists the steps once, even if the policy repeats them.

    If no policy matches, `then_paged` are the administrators, if UNMATCHED_INCIDENTS pages them. Each policy is tried
    on its own.
    """

    at: Time = Field(examples=[EXAMPLE_TIME])
    is_anybody_paged: bool
    no_policy_matches: bool = False
    then_paged: list[PersonPreview] = []
    policies: list[PolicyPreview]
