"""What policies would do with an incident, on the wire."""

from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from app.core.vocabulary import Severity
from app.schemas.base import Input, Read
from app.schemas.escalation import PolicyCreate
from app.schemas.types import EXAMPLE_TIME, GivenTime, Id, ServiceName, SmallJsonObject, Time, Title, Word


class PreviewIncident(Input):
    """An incident that there is not. If its source is `api`, its creator is whoever asks."""

    severity: Severity
    service: ServiceName
    source: Word = "api"
    title: Title = "Preview"
    metadata: SmallJsonObject = Field(default_factory=dict)
    assigned_to: Id | None = None


class PreviewRequest(Input):
    """What to try: an incident that there is, or one that is made up. `policy` is tried beside the saved ones."""

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
    at: GivenTime | None = Field(default=None, description="When the escalation begins; null: now")

    @model_validator(mode="after")
    def _one_incident(self) -> Self:
        if (self.incident_id is None) == (self.incident is None):
            raise ValueError("Give either incident_id or incident.")
        return self


class ConditionRead(Read):
    """One condition of a policy: the values of which one had to be there, and what was."""

    attribute: str = Field(examples=["severity"])
    wanted: list[Any] = Field(examples=[["critical"]])
    found: Any = Field(examples=["low"])
    holds: bool


class PersonPreview(Read):
    """One page, or why there is none (`skipped`)."""

    recipient: str = Field(examples=["user:1"])
    user_id: int | None
    name: str | None
    channel: str | None = Field(examples=["email"])
    address: str | None = Field(examples=["a***@example.com"], description="Its beginning and its end")
    skipped: str | None = Field(examples=["quiet"])


class ActionPreview(Read):
    """One action. Only `notify` pages people."""

    type: str = Field(examples=["notify"])
    people: list[PersonPreview]


class StepPreview(Read):
    """One step. `due_at` is null if another step ends the escalation before."""

    step: int = Field(description="From 0")
    delay_minutes: float
    due_at: Time | None = Field(examples=[EXAMPLE_TIME])
    actions: list[ActionPreview]


class PolicyPreview(Read):
    """One policy. Its steps are listed if it matches.

    `then_paged` are the admins, paged at `then_paged_at`: if no step reaches anybody, or a step acknowledges or
    resolves the incident before anybody was paged.
    """

    policy_id: int | None = Field(description="null: the one in the request")
    name: str
    matches: bool
    conditions: list[ConditionRead]
    steps: list[StepPreview]
    reaches_nobody: bool
    then_paged: list[PersonPreview]
    then_paged_at: Time | None = Field(default=None, examples=[EXAMPLE_TIME])
    warnings: list[str] = Field(default=[], description="What does not work as written")


class EscalationPreview(Read):
    """What would happen if nobody acknowledged. The steps are listed once, also of a policy that repeats them.

    If no policy matches, `then_paged` are the admins, as UNMATCHED_INCIDENTS wants it. Each policy is tried by itself.
    """

    at: Time = Field(examples=[EXAMPLE_TIME])
    is_anybody_paged: bool
    no_policy_matches: bool = False
    then_paged: list[PersonPreview] = []
    policies: list[PolicyPreview]
