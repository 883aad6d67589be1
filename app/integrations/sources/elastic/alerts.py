"""Splits a body with several alerts: Kibana's summary of alerts, or a list of them under `alerts`.

A summary groups them as new, ongoing and recovered (and all), each with a `count` and documents as `data`:
https://www.elastic.co/guide/en/kibana/current/rule-action-variables.html
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from app.integrations.sources.elastic.fields import decoded, text_of
from app.services.incidents.alert_metadata import metadata_from

FIRING_GROUPS = ("new", "ongoing")
RECOVERED_GROUP = "recovered"
GROUPS = (*FIRING_GROUPS, RECOVERED_GROUP)
EVERY_GROUP = "all"

LIST_DEPTH = 4
REPEATED_CONTEXT_LIMIT = 16 * 1024 * 1024


class Member(NamedTuple):
    """One of several alerts. `group` is the summary's name for its kind."""

    group: str | None
    alert: dict[str, Any]


def members_of(body: dict[str, Any], *, is_identified: bool) -> list[Member] | None:
    """The alerts of a body that lists any number of them. None if the body itself is one alert.

    A body that identifies itself as an alert remains one if its list is empty.
    """
    alerts = decoded(body.get("alerts"))
    if isinstance(alerts, dict) and any(group in alerts for group in (*GROUPS, EVERY_GROUP)):
        return _summarised(alerts)
    if isinstance(alerts, (dict, list)):
        listed = [Member(None, alert) for alert in _each(alerts)]
        return listed or (None if is_identified else [])
    return None


def context_of(body: dict[str, Any]) -> dict[str, Any]:
    """The context that the alerts of a body share: everything around them."""
    return {key: value for key, value in body.items() if key != "alerts"}


def metadata_of(body: dict[str, Any], members: list[Member]) -> Iterator[dict[str, Any]]:
    """The metadata of each alert, as if it had its own body: the alert and its context.

    If the context of all alerts together is too large, only the first alert keeps it.
    """
    context = metadata_from(context_of(body))
    is_repeated = len(json.dumps(context)) * len(members) <= REPEATED_CONTEXT_LIMIT
    for number, (group, alert) in enumerate(members):
        around = context if is_repeated or number == 0 else {}
        yield metadata_from({**around, "alerts": {group: [alert]} if group else [alert]})


def _summarised(alerts: dict[str, Any]) -> list[Member]:
    groups = GROUPS if any(group in alerts for group in GROUPS) else (EVERY_GROUP,)
    found = [Member(group, alert) for group in groups for alert in _each(_data(alerts.get(group)))]
    return found or _counted(alerts)


def _counted(alerts: dict[str, Any]) -> list[Member]:
    """A summary that counts alerts without listing them is one alert, firing while any is new or ongoing."""
    counted = [group for group in (*FIRING_GROUPS, EVERY_GROUP, RECOVERED_GROUP) if _count(alerts.get(group))]
    return [Member(group, alerts) for group in counted[:1]]


def _data(group: Any) -> Any:
    group = decoded(group)
    if isinstance(group, dict):
        return group.get("data")
    return group if isinstance(group, list) else None


def _count(group: Any) -> bool:
    group = decoded(group)
    count = group.get("count") if isinstance(group, dict) else group
    return text_of(count) not in {"", "0"}


def _each(value: Any, depth: int = LIST_DEPTH) -> Iterator[dict[str, Any]]:
    """The alerts of nested lists. Skips empty items: a template's loop leaves one after its last comma."""
    value = decoded(value)
    if isinstance(value, list) and depth:
        for item in value:
            yield from _each(item, depth - 1)
    elif isinstance(value, dict) and value:
        yield value
    elif (isinstance(value, list) and value) or text_of(value):
        yield {"message": value}
