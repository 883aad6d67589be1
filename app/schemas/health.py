"""What the service says of itself."""

from typing import Literal

from pydantic import BaseModel, Field

from app.schemas.types import Time


class WorkerHealth(BaseModel):
    """The worker of the process that answered."""

    status: Literal["ok", "starting", "stalled", "disabled"]
    last_tick_at: Time | None


class Health(BaseModel):
    """Whether the service can work."""

    status: Literal["ok"]
    version: str
    tzdata: str = Field(description="The release of the time zones that count here", examples=["2026f"])
    database: Literal["ok"]
    worker: WorkerHealth


class ServiceInfo(BaseModel):
    """Name, version and where to go from here."""

    name: str
    version: str
    links: dict[str, str] = Field(examples=[{"docs": "/docs"}])
