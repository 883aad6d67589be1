"""What pydantic finds wrong with an input: where it is, and what is said of it."""

from collections.abc import Mapping
from typing import Any

TAG_INVALID, TAG_MISSING = "union_tag_invalid", "union_tag_not_found"


def message_of(item: Mapping[str, Any]) -> str:
    return str(item["msg"]).removeprefix("Value error, ")


def pointer_to(item: Mapping[str, Any], body: Any) -> str:
    """A JSON pointer into the body, or the parameter's name. Names of union members are not part of the way."""
    place, *way = item["loc"]
    if place != "body":
        return str(way[0]) if way else str(place)
    if item["type"] in {TAG_INVALID, TAG_MISSING}:
        way.append(item["ctx"]["discriminator"].strip("'"))
    is_absent = item["type"] in {"missing", TAG_MISSING}
    steps: list[str] = []
    here = body
    for index, step in enumerate(way):
        is_there = (isinstance(here, dict) and step in here) or (
            isinstance(here, list) and isinstance(step, int) and step < len(here)
        )
        if is_there:
            here = here[step]
        if is_there or (is_absent and index == len(way) - 1 and isinstance(here, dict)):
            steps.append(str(step).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{step}" for step in steps)
