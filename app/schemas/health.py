"""The service's health and identity."""

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
    tzdata: str = Field(description="The release of the time zone data in use", examples=["2026f"])
    database: Literal["ok"]
    worker: WorkerHealth


class ServiceInfo(BaseModel):
    """Name, version and links."""

    name: str
    version: str
    links: dict[str, str] = Field(examples=[{"docs": "/docs"}])
