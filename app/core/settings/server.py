"""Where the service listens and keeps its files, and how it starts and stops."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from app.core.settings.section import Port, Section
from app.core.vocabulary import Environment, LogLevel


class ServerSettings(Section):
    """The process itself."""

    environment: Environment = Environment.DEVELOPMENT
    host: str = "127.0.0.1"
    port: Port = 8000
    web_concurrency: Annotated[int, Field(ge=1, le=64)] = 1
    data_dir: Path = Path("var")
    log_level: LogLevel = LogLevel.INFO
    log_senders: bool = True
    max_connections: Annotated[int, Field(ge=1024, le=65536)] = 1024
    request_memory_mib: Annotated[int, Field(ge=16, le=65536)] = 64
    drain_seconds: Annotated[int, Field(ge=0, le=300)] = 0
    shutdown_grace_seconds: Annotated[int, Field(ge=1, le=300)] = 20

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @property
    def own_url(self) -> str:
        """Where the service listens."""
        return f"http://{self.host}:{self.port}"

    @property
    def is_production(self) -> bool:
        return self.environment is Environment.PRODUCTION
