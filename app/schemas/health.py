"""The service's health and identity."""

from typing import Literal

from pydantic import BaseModel, Field

from app.core.vocabulary import HealthStatus
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


class Alive(BaseModel):
    """This process answers requests."""

    status: Literal["ok"]


class HealthCheck(BaseModel):
    """How one part of the installation is."""

    status: HealthStatus = Field(examples=["ok"])
    latency_ms: float = Field(
        examples=[0.4],
        description="How long the check took. Without an answer: how long it was waited for, at most 2000",
    )
    detail: str | None = Field(default=None, examples=[None], description="What is wrong, and what to do")


class Readiness(BaseModel):
    """How the installation is, part by part."""

    status: Literal[HealthStatus.OK, HealthStatus.DEGRADED]
    version: str
    checks: dict[str, HealthCheck]


class ServiceInfo(BaseModel):
    """Name, version and links."""

    name: str
    version: str
    links: dict[str, str] = Field(examples=[{"docs": "/docs"}])
