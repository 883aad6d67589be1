"""Escalation policies and their events on the wire. Refuses policies that could never page."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StrictFloat,
    StrictInt,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from app.core.vocabulary import EventStatus
from app.schemas.action import Actions
from app.schemas.base import DocumentedAsList, Input, Read, Update, refused
from app.schemas.condition import Conditions
from app.schemas.types import EXAMPLE_TIME, Flag, Small, Storable, Text, Time, WebAddress

MAX_STEPS = 50
MAX_DELAY_MINUTES = 60 * 24 * 30


Number = TypeVar("Number", int, float)
Delay = Annotated[Number, Field(ge=0, le=MAX_DELAY_MINUTES)]


class Step(Input):
    """Actions to perform `delay_minutes` after the escalation starts, which is usually when the incident opens."""

    delay_minutes: Delay[StrictInt] | Delay[StrictFloat] = Field(
        description="Minutes from the start of the escalation, not from the previous step. Never less than in the "
        "previous step.",
    )
    actions: Actions


def _never_decreasing(steps: list[Step]) -> list[Step]:
    for number, (earlier, later) in enumerate(pairwise(steps), start=1):
        if later.delay_minutes < earlier.delay_minutes:
            reason = "delay_minutes counts from the start of the escalation and must never decrease"
            raise refused(reason, number, "delay_minutes")
    return steps


Steps = Annotated[
    list[Step],
    Field(
        min_length=1,
        max_length=MAX_STEPS,
        description="Each delay counts from the start of the escalation, and delays never decrease. A new policy needs "
        "`steps` or `actions`.",
    ),
    AfterValidator(_never_decreasing),
]
SmallConditions = Annotated[Conditions, Small]  # when they are given: what is stored stays valid
PolicyName = Annotated[str, StringConstraints(min_length=1, max_length=255, strip_whitespace=True), Storable]
RunbookUrl = Annotated[
    WebAddress, Field(description="URL of the runbook. Shown with the incidents that the policy matches.")
]
Repeat = Annotated[int, Field(ge=0, le=9, strict=True, description="How many times to repeat all steps")]

EXAMPLE: dict[str, Any] = {
    "name": "Critical Database Issues",
    "description": "Escalation path for critical database incidents",
    "conditions": {"severity": ["critical", "high"], "service": ["database", "primary-db"]},
    "steps": [
        {
            "delay_minutes": 5,
            "actions": [
                {
                    "type": "notify",
                    "target": "assignees",
                    "channels": ["email", "sms"],
                    "message": "This incident requires your attention.",
                }
            ],
        }
    ],
}


class _ActionsShorthand(Input):
    """Reads a top-level `actions` without `steps` as one step at delay 0."""

    read_only: ClassVar[frozenset[str]] = frozenset({"id", "version", "warnings", "created_at", "updated_at"})

    actions: Actions | None = Field(
        default=None, description="Instead of `steps`: shorthand for a single step at delay 0"
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """`steps` is required only where there is no `actions`, which `required` cannot say."""
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        fields = handler.resolve_ref_schema(schema)
        if "steps" in fields.get("required", []):
            fields["required"].remove("steps")
        return schema

    @model_validator(mode="before")
    @classmethod
    def _one_step(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "actions" not in data:
            return data
        rest = {key: value for key, value in data.items() if key != "actions"}
        if data["actions"] is None:
            return rest
        return data if "steps" in data else {**rest, "steps": [{"delay_minutes": 0, "actions": data["actions"]}]}

    @model_validator(mode="after")
    def _not_both(self) -> Self:
        if self.actions is not None:
            raise refused("give steps or actions, not both", "actions")
        return self


class PolicyCreate(_ActionsShorthand):
    """A new policy."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    name: PolicyName
    description: Text | None = None
    conditions: SmallConditions = Field(default_factory=dict)
    steps: Steps
    is_active: Flag = True
    repeat: Repeat = 0
    runbook_url: RunbookUrl | None = None


class PolicyUpdate(_ActionsShorthand, Update):
    """A partial change of a policy. Running escalations keep the steps they started with."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"is_active": True}]})

    name: PolicyName = Field(default="")
    description: Text | None = None
    conditions: SmallConditions = Field(default_factory=dict)
    steps: Steps = Field(default_factory=list)
    is_active: Flag = True
    repeat: Repeat = 0
    runbook_url: RunbookUrl | None = None


class PolicyRead(Read):
    """A policy. `warnings` say what does not work as written, such as a channel that is not set up."""

    id: int
    name: str = Field(examples=[EXAMPLE["name"]])
    description: str | None
    conditions: Annotated[Any, WithJsonSchema({"type": "object", "additionalProperties": True})]
    steps: Annotated[Any, DocumentedAsList(Step)]
    is_active: bool
    repeat: int
    runbook_url: str | None = Field(default=None, examples=["https://wiki.example.com/runbooks/database"])
    version: int
    created_at: Time = Field(examples=[EXAMPLE_TIME])
    updated_at: Time = Field(examples=[EXAMPLE_TIME])
    warnings: list[str] = []

    @classmethod
    def of(cls, policy: object, warnings: list[str]) -> Self:
        """A policy with its warnings."""
        return cls.model_validate(policy).model_copy(update={"warnings": warnings})


class EscalationEventRead(Read):
    """A step that fired. `metadata` says who was paged by which channel, and who was skipped and why."""

    id: int
    incident_id: int
    policy_id: int
    cycle: int
    loop: int
    step: int = Field(description="From 0")
    status: EventStatus
    triggered_at: datetime
    completed_at: datetime | None
    metadata: dict[str, Any] = Field(validation_alias="metadata_")


CONDITIONS = TypeAdapter[dict[str, Any]](Conditions)
STEPS = TypeAdapter[list[Step]](Steps)


def are_conditions(stored: object) -> bool:
    """False for what could not be saved as a policy's conditions."""
    return _is_valid(CONDITIONS, stored)


def are_steps(stored: object) -> bool:
    """False for what could not be saved as a policy's steps: a step of it may fail."""
    return _is_valid(STEPS, stored)


def _is_valid(adapter: TypeAdapter[Any], stored: object) -> bool:
    try:
        adapter.validate_python(stored)
    except ValidationError:
        return False
    return True


def dump_steps(steps: Sequence[BaseModel]) -> list[dict[str, Any]]:
    """Steps as they are stored and answered: only the fields that were given."""
    return [step.model_dump(mode="json", exclude_none=True) for step in steps]
