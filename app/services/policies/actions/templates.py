"""Finds the templates in actions, so that a policy with a broken one is refused when it is written."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.services.messages import template
from app.services.messages.template import TemplateError


def broken_templates(action: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where in an action a template cannot be rendered, as the end of a JSON pointer, and why."""
    if action["type"] == "comment":
        yield from _broken(action["content"], "content")
    elif action["type"] == "webhook" and "body" in action:
        yield from _broken(action["body"], "body")


def _broken(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        try:
            template.check(value)
        except TemplateError as error:
            yield place, str(error)
    elif isinstance(value, Mapping | list):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for name, item in items:
            yield from _broken(item, f"{place}/{str(name).replace('~', '~0').replace('/', '~1')}")
