"""The level of the log on the wire."""

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

from app.core.vocabulary import LogLevel
from app.schemas.base import Input, NameOf, Read
from app.schemas.types import EXAMPLE_TIME, Time

DEFAULT_MINUTES, MAX_MINUTES = 60, 24 * 60


def _upper(value: Any) -> Any:
    """As LOG_LEVEL takes it."""
    return value.upper() if isinstance(value, str) else value


class LogLevelUpdate(Input):
    """The level for all processes, and for how long."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"level": "DEBUG", "minutes": 30}]})

    level: Annotated[LogLevel, BeforeValidator(_upper)]
    minutes: Annotated[int, Field(ge=1, le=MAX_MINUTES, strict=True)] | None = Field(
        default=DEFAULT_MINUTES,
        description="How long until `LOG_LEVEL` counts again. Null: until somebody changes it",
    )


class LogLevelRead(Read):
    """The level in force, and the one from the setting `LOG_LEVEL`. Without `set_at` they are the same."""

    level: LogLevel = Field(
        examples=["DEBUG"], description="The level in force. Every process follows within 2 seconds"
    )
    configured_level: LogLevel = Field(examples=["INFO"], description="`LOG_LEVEL` of the process that answers")
    until: Time | None = Field(examples=[EXAMPLE_TIME], description="When `LOG_LEVEL` counts again")
    set_by: int | None = Field(examples=[1], description="The administrator who set it")
    set_by_name: Annotated[str | None, NameOf("set_by")] = None
    set_at: Time | None = Field(examples=[EXAMPLE_TIME])
