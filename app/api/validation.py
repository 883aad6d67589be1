"""Finds the JSON pointer to the value that pydantic rejected."""

from collections.abc import Mapping
from typing import Any

TAG_INVALID, TAG_MISSING = "union_tag_invalid", "union_tag_not_found"
ABSENT = {"missing", TAG_MISSING}


def pointer_to(error: Mapping[str, Any], body: Any) -> str:
    """A JSON pointer into the body, or the parameter's name."""
    place, *way = error["loc"]
    if place != "body":
        return str(way[0]) if way else str(place)
    return "".join(f"/{_escaped(step)}" for step in _steps(error, way, body))


def _steps(error: Mapping[str, Any], way: list[Any], body: Any) -> list[Any]:
    """The path through the body, without the union members that pydantic adds to it."""
    if error["type"] in {TAG_INVALID, TAG_MISSING}:
        way = [*way, error["ctx"]["discriminator"].strip("'")]
    steps: list[Any] = []
    here = body
    last = len(way) - 1
    for position, step in enumerate(way):
        if _has(here, step):
            here = here[step]
            steps.append(step)
        elif position == last and error["type"] in ABSENT and isinstance(here, dict):
            steps.append(step)
    return steps


def _has(value: Any, step: Any) -> bool:
    if isinstance(value, list):
        return isinstance(step, int) and step < len(value)
    return isinstance(value, dict) and step in value


def _escaped(step: Any) -> str:
    """RFC 6901, section 3."""
    return str(step).replace("~", "~0").replace("/", "~1")
