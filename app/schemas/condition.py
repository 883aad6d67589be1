"""The conditions of an escalation policy, on the wire."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from app.core.vocabulary import Severity
from app.schemas.base import refused
from app.schemas.types import JsonObject

METADATA_PREFIX = "metadata."

Scalar = str | int | float | bool | None


def _checked_conditions(conditions: dict[str, Any]) -> dict[str, Any]:
    for attribute, value in conditions.items():
        values = value if isinstance(value, list) else [value]
        if not values:
            raise refused("an empty list never matches. Give at least one value", attribute)
        _check_attribute(attribute, values)
    return conditions


def _check_attribute(attribute: str, values: list[Any]) -> None:
    if attribute == "severity":
        _require(attribute, values, lambda value: value in list(Severity), f"one of {', '.join(Severity)}")
    elif attribute in ("service", "source"):
        wanted = "text without leading or trailing white space"
        _require(attribute, values, lambda value: isinstance(value, str) and value.strip() == value != "", wanted)
    elif attribute == "assigned":
        _require(attribute, values, lambda value: isinstance(value, bool), "true or false")
    elif attribute.startswith(METADATA_PREFIX) and len(attribute) > len(METADATA_PREFIX):
        _require(attribute, values, lambda value: isinstance(value, Scalar), "text, a number, true, false or null")
    else:
        known = "Use severity, service, source, assigned or metadata.<path>"
        raise refused(f"{attribute} cannot be matched. {known}", attribute)


def _require(attribute: str, values: list[Any], holds: Any, wanted: str) -> None:
    if not all(holds(value) for value in values):
        raise refused(f"{attribute} must be {wanted}", attribute)


Conditions = Annotated[
    JsonObject,
    AfterValidator(_checked_conditions),
    Field(
        description="Maps each attribute to a value, or to a list: then any value may match. All conditions must "
        "hold. Attributes: severity, service (with * globs), source, assigned (true or false), metadata.<path>. "
        "{} matches every incident.",
        examples=[{"severity": ["critical", "high"], "service": ["database", "primary-*"]}],
    ),
]
