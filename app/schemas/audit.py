"""The audit log on the wire."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from app.schemas.base import NameOf, Read
from app.schemas.types import EXAMPLE_TIME, Time


class Change(Read):
    """What a field was before, and what it is now. Both are null if they were erased, or are never shown."""

    before: Any = Field(default=None, alias="from", examples=["responder"])
    after: Any = Field(default=None, alias="to", examples=["viewer"])
    is_cut: bool = Field(default=False, description="Whether they are too large to be kept whole")
    is_erased: bool = Field(default=False, description="Whether they were erased from the log")


class AuditRead(Read):
    """Who did what, from where. Without an actor, the service or an operator's command did it, or nobody was known."""

    id: int = Field(examples=[1])
    at: Time = Field(examples=[EXAMPLE_TIME])
    action: str = Field(examples=["user.rights_changed"])
    actor_id: int | None = Field(examples=[1])
    actor_name: Annotated[str | None, NameOf("actor_id")] = None
    api_key_id: int | None
    session_id: UUID | None
    sender: str | None = Field(examples=["192.0.2.7"], description="The address that the request came from")
    request_id: str | None
    object_type: str = Field(examples=["user"])
    object_id: str | None = Field(examples=["2"])
    changes: dict[str, Change]
