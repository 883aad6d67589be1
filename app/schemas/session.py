"""Login sessions on the wire."""

from collections.abc import Mapping
from typing import Any, Self
from uuid import UUID

from pydantic import Field

from app.schemas.base import Read
from app.schemas.types import EXAMPLE_TIME, Time

EXAMPLE_SESSION = "3f2b1a90-7c1d-41ef-9a53-0242ac120002"


class SessionRead(Read):
    """A login session: one browser, one phone, one script."""

    id: UUID = Field(examples=[EXAMPLE_SESSION])
    created_at: Time = Field(description="When the person logged in", examples=[EXAMPLE_TIME])
    last_used_at: Time = Field(description="When it last got an access token", examples=[EXAMPLE_TIME])
    expires_at: Time = Field(description="When it ends unless it is used before", examples=[EXAMPLE_TIME])
    sender: str | None = Field(description="The address from which the person logged in", examples=["192.0.2.7"])
    user_agent: str | None = Field(description="The program that logged in, by its own account", examples=["curl/8.5"])
    is_current: bool = Field(description="True for the session of this request")

    @classmethod
    def of(cls, found: Mapping[str, Any], current_id: UUID | None) -> Self:
        """A session, as a request of the session `current_id` sees it."""
        return cls.model_validate({**found, "is_current": found["id"] == current_id})
