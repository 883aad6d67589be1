"""The workers on the wire."""

from typing import Any
from uuid import UUID

from pydantic import Field

from app.schemas.base import Read
from app.schemas.types import EXAMPLE_TIME, Time


class WorkerRead(Read):
    """One worker. `channels` lists the providers that failed last, and whether their circuit breaker is open.

    `set_up` lists the channels it can send by, which should be the same on all workers.
    """

    id: UUID
    name: str = Field(examples=["pager-1:4711"], description="Host and process id")
    version: str
    is_alive: bool = Field(description="Whether it sent a heartbeat within the last 30 seconds")
    started_at: Time = Field(examples=[EXAMPLE_TIME])
    last_seen_at: Time = Field(examples=[EXAMPLE_TIME])
    set_up: list[str] = Field(examples=[["email", "sms", "webhook"]])
    channels: dict[str, dict[str, Any]] = Field(
        examples=[{"sms": {"api.twilio.com": {"state": "open", "failing_messages": 5, "last_error": "503"}}}]
    )
