"""Elastic's alerts: Kibana's webhook connector, whose owner writes the body, Watcher, and alert documents.

The variables of Kibana's templates:
https://www.elastic.co/guide/en/kibana/current/rule-action-variables.html
"""

from typing import Any, NamedTuple

from app.core.source import AlertSignal
from app.integrations.sources.elastic.alerts import (
    RECOVERED_GROUP,
    Member,
    context_of,
    members_of,
    metadata_of,
)
from app.integrations.sources.elastic.fields import Fields, fields_of, first, tags_of
from app.services.incidents.alert import (
    DESCRIPTION_LIMIT,
    SERVICE_LIMIT,
    TITLE_LIMIT,
    UNKNOWN_SERVICE,
    cut,
    cut_line,
    dedup_key_from,
    is_recovered,
    severity_from,
    storable,
)

SOURCE = "elastic"
UNTITLED = "Alert from Elastic"
IDENTIFIER_LIMIT = 2_000

# An alert's uuid does not identify it: it changes with every activation. Kibana's deprecated variables call
# the rule's id alertId and the alert's alertInstanceId.
RULE_ID = ("kibana_alert_rule_uuid", "rule_id", "rule_uuid")
ALERT_ID = ("kibana_alert_instance_id", "alert_instance_id", "alert_alert_id", "alert_id")
STATE = ("state_state", "status", "action_group", "action_group_name", "state", "status_name")
NAME = (
    "alert_name",
    "rule_name",
    "name",
    "title",
    "context_title",
    "metadata_name",
    "summary",
    "rule",
    "alert",
)
REASON = ("message", "context_message", "reason", "context_reason", "description", "rule_description")
SERVICE = (
    "service_name",
    "service",
    "context_service_name",
    "context_service",
    "tags_service",
    "tags_service_name",
    "labels_service",
    "labels_service_name",
    "metadata_service",
)
SEVERITY = ("severity", "context_severity", "rule_severity", "metadata_severity", "priority")
TAGGED_SEVERITY = ("tags_severity", "labels_severity")


class Facts(NamedTuple):
    """What an object says of an alert; None where it says nothing."""

    dedup_key: str | None
    rule_id: str | None
    alert_id: str | None
    watch_id: str | None
    plain_id: str | None
    state: str | None
    name: str | None
    reason: str | None
    severity: str | None
    service: str | None


def parse(body: dict[str, Any]) -> list[AlertSignal]:
    """The alerts of any JSON object, whatever it holds: one, unless it lists several or none."""
    facts = _facts(fields_of(context_of(body)))
    key = _key(facts)
    members = members_of(body, is_identified=key is not None)
    if members is None:
        return [_signal(facts, key, storable(body), is_firing=not is_recovered(facts.state or ""))]
    return _several(body, members, facts, key)


def _several(body: dict[str, Any], members: list[Member], shared: Facts, shared_key: str | None) -> list[AlertSignal]:
    """Each alert speaks for itself; the body around them fills in what it leaves out.

    A key around them serves those without one, but resolves only if none of them fires.
    """
    own = [_facts(fields_of(member.alert, within="alert")) for member in members]
    firing = [_is_firing(member.group, facts, shared) for member, facts in zip(members, own, strict=True)]
    resolving_key = None if any(firing) else shared_key
    signals = []
    for facts, is_firing, metadata in zip(own, firing, metadata_of(body, members), strict=True):
        key = _key(facts._replace(rule_id=facts.rule_id or shared.rule_id))
        key = key or (shared_key if is_firing else resolving_key)
        signals.append(_signal(_completed(facts, shared), key, metadata, is_firing=is_firing))
    return _still_firing(signals) if members and members[0].group else signals


def _still_firing(signals: list[AlertSignal]) -> list[AlertSignal]:
    """A summary covers a span of time: what recovered in it and is active again has not recovered."""
    firing = {signal.dedup_key for signal in signals if signal.is_firing} - {None}
    return [signal for signal in signals if signal.is_firing or signal.dedup_key not in firing]


def _is_firing(group: str | None, own: Facts, shared: Facts) -> bool:
    if group == RECOVERED_GROUP:
        return False
    state = own.state if group else own.state or shared.state
    return not is_recovered(state or "")


def _signal(facts: Facts, key: str | None, metadata: dict[str, Any], *, is_firing: bool) -> AlertSignal:
    return AlertSignal(
        source=SOURCE,
        dedup_key=key,
        is_firing=is_firing,
        title=facts.name or cut_line(facts.watch_id or facts.reason or UNTITLED, TITLE_LIMIT),
        description=facts.reason,
        severity=facts.severity,
        service=facts.service or UNKNOWN_SERVICE,
        metadata=metadata,
    )


def _key(facts: Facts) -> str | None:
    """The first there is of a key of the sender's, rule and alert, watch, alert, id."""
    alert = f"{facts.rule_id}:{facts.alert_id}" if facts.rule_id and facts.alert_id else None
    key = facts.dedup_key or alert or facts.watch_id or facts.alert_id or facts.plain_id
    return dedup_key_from(key) if key else None


def _completed(own: Facts, shared: Facts) -> Facts:
    return Facts(*(mine or theirs for mine, theirs in zip(own, shared, strict=True)))


def _facts(fields: Fields) -> Facts:
    """Cut here, so that what many alerts share is cut once."""
    name, reason, service = first(fields, NAME), first(fields, REASON), _service(fields)
    return Facts(
        dedup_key=_dedup_key(fields),
        rule_id=_identifier(fields, (*RULE_ID, "alert_id") if "alert_instance_id" in fields else RULE_ID),
        alert_id=_identifier(fields, ALERT_ID),
        watch_id=_identifier(fields, ("watch_id",)),
        plain_id=_identifier(fields, ("id",)),
        state=first(fields, STATE),
        name=cut_line(name, TITLE_LIMIT) if name else None,
        reason=cut(reason, DESCRIPTION_LIMIT) if reason else None,
        severity=_severity(fields),
        service=cut_line(service, SERVICE_LIMIT) if service else None,
    )


def _identifier(fields: Fields, paths: tuple[str, ...]) -> str | None:
    text = first(fields, paths)
    return dedup_key_from(text) if text and len(text) > IDENTIFIER_LIMIT else text


def _dedup_key(fields: Fields) -> str | None:
    """A template that joins two missing variables leaves only their separator, which is no key."""
    text = _identifier(fields, ("dedup_key",))
    return text if text and any(map(str.isalnum, text)) else None


def _service(fields: Fields) -> str | None:
    tagged = (value for key, value in tags_of(fields) if key in {"service", "service_name"} and value)
    return first(fields, SERVICE) or next(tagged, None)


def _severity(fields: Fields) -> str | None:
    """The first word we know: where a severity belongs, in a tag that says it is one, in a bare tag."""
    tags = sorted(tags_of(fields), key=lambda tag: tag[0] == "")
    words = [fields[path] for path in (*SEVERITY, *TAGGED_SEVERITY) if path in fields]
    words += [word for key, word in tags if key in {"severity", "priority", ""}]
    return next(filter(None, map(severity_from, words)), None)
