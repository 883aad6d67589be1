"""Elastic's alerts: Kibana's webhook connector with any body, Watcher, and alert documents.

The variables of Kibana's templates:
https://www.elastic.co/guide/en/kibana/current/rule-action-variables.html
"""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from app.core.source import AlertSignal, FormerKey
from app.core.storable import cut
from app.integrations.sources.elastic.alerts import (
    RECOVERED_GROUP,
    Member,
    context_of,
    members_of,
    metadata_of,
)
from app.integrations.sources.elastic.fields import Fields, fields_of, first, has_variable, tags_of
from app.services.incidents.alert import (
    DESCRIPTION_LIMIT,
    SERVICE_LIMIT,
    TITLE_LIMIT,
    UNKNOWN_SERVICE,
    cut_line,
    dedup_key_from,
    is_recovered,
    severity_from,
    severity_within,
)
from app.services.incidents.alert_metadata import metadata_from

SOURCE = "elastic"
UNTITLED = "Alert from Elastic"
IDENTIFIER_LIMIT = 2_000

# An alert's uuid does not identify it: it changes with every activation. Kibana's deprecated variables call
# the rule's id alertId, its name alertName and the alert's id alertInstanceId.
RULE_ID = ("kibana_alert_rule_uuid", "rule_id", "rule_uuid")
RULE_NAME = ("kibana_alert_rule_name", "rule_name", "rule")
ALERT_ID = ("kibana_alert_instance_id", "alert_instance_id", "alert_alert_id", "alert_id")
# Stable words before names, which Kibana translates.
STATE = (
    "kibana_alert_status",
    "action_group",
    "action_group_id",
    "kibana_alert_action_group",
    "state_state",
    "status",
    "state",
    "action_group_name",
    "status_name",
)
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
    "alert_subject",
)
REASON = (
    "alert_text",  # ElastAlert 2's; its `message` is the log line that matched
    "message",
    "context_message",
    "reason",
    "context_reason",
    "description",
    "rule_description",
)
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
GROUP_SEVERITY = ("action_group_name", "action_group", "action_group_id", "log_level")


class Facts(NamedTuple):
    """The fields of an alert in an object; None for missing ones."""

    dedup_key: str | None
    rule_id: str | None
    rule_name: str | None
    alert_id: str | None
    watch_id: str | None
    plain_id: str | None
    elastalert_rule: str | None
    state: str | None
    name: str | None
    reason: str | None
    severity: str | None
    service: str | None


def parse(body: dict[str, Any]) -> list[AlertSignal]:
    """The alerts of any JSON object: one, unless it lists several or none."""
    facts = _facts(fields_of(context_of(body)))
    key = _key(facts)
    members = members_of(body, is_identified=_alert_key(facts) is not None)
    if members is None:
        return [_signal(facts, key, metadata_from(body), is_firing=not is_recovered(facts.state or ""))]
    return _several(body, members, facts, key)


def _several(body: dict[str, Any], members: list[Member], shared: Facts, shared_key: str | None) -> list[AlertSignal]:
    """Each alert has its own fields; the body around them fills in missing ones.

    A key of the body applies to alerts without one, but resolves only if none of them fires.
    """
    own = [_facts(fields_of(member.alert, within="alert")) for member in members]
    firing = [_is_firing(member.group, facts, shared) for member, facts in zip(members, own, strict=True)]
    resolving_key = None if any(firing) else shared_key
    signals = []
    for facts, is_firing, metadata in zip(own, firing, metadata_of(body, members), strict=True):
        named = facts._replace(rule_id=facts.rule_id or shared.rule_id, rule_name=facts.rule_name or shared.rule_name)
        key = _alert_key(named) or (shared_key if is_firing else resolving_key) or _rule_key(named)
        signal = _signal(_completed(facts, shared), key, metadata, is_firing=is_firing)
        signals.append(replace(signal, former_key=_former_key(named, key, is_firing=is_firing)))
    return _still_firing(signals) if members and members[0].group else signals


def _still_firing(signals: list[AlertSignal]) -> list[AlertSignal]:
    """A summary covers a span of time: an alert that recovered and is active again has not recovered."""
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
        former_key=_former_key(facts, key, is_firing=is_firing),
    )


def _key(facts: Facts) -> str | None:
    """The key that identifies the alert: its own, else that of its rule."""
    return _alert_key(facts) or _rule_key(facts)


def _alert_key(facts: Facts) -> str | None:
    """The first that exists of: the sender's key, rule id and alert, watch, rule name and alert, alert, id.

    Kibana's alert ids are unique within their rule only: `query matched` is the id of an alert of many rules.
    """
    keys = (
        facts.dedup_key,
        _within(facts.rule_id, facts.alert_id),
        facts.watch_id,
        _within(facts.rule_name, facts.alert_id),
        facts.alert_id,
        facts.plain_id,
    )
    key = next(filter(None, keys), None)
    return dedup_key_from(key) if key else None


def _rule_key(facts: Facts) -> str | None:
    """A rule without alert names has one alert at a time. ElastAlert 2 sends only the rule's name."""
    key = facts.rule_id or facts.elastalert_rule
    return dedup_key_from(key) if key else None


def _within(rule: str | None, alert: str | None) -> str | None:
    return f"{rule}:{alert}" if rule and alert else None


def _former_key(facts: Facts, key: str | None, *, is_firing: bool) -> FormerKey | None:
    """Earlier versions left the rule's name out of the key: their incidents continue under the alert's id alone.

    A recovery also resolves what a body without the rule's name opened.
    """
    named = _within(facts.rule_name, facts.alert_id)
    if key is None or facts.alert_id is None or named is None or key != dedup_key_from(named):
        return None
    former = dedup_key_from(facts.alert_id)
    return FormerKey(former, partial(_is_of, {key} if is_firing else {key, former}))


def _is_of(keys: set[str], metadata: dict[str, Any]) -> bool:
    """True if the incident's last stored alert has one of the keys, or no known key."""
    known = {signal.dedup_key for signal in parse(metadata)} - {None}
    return not known or not known.isdisjoint(keys)


def _completed(own: Facts, shared: Facts) -> Facts:
    return Facts(*(mine or theirs for mine, theirs in zip(own, shared, strict=True)))


def _facts(fields: Fields) -> Facts:
    """Cut the shared context here, once for all alerts."""
    is_deprecated = "alert_instance_id" in fields
    name, reason, service = first(fields, NAME), first(fields, REASON), _service(fields)
    return Facts(
        dedup_key=_dedup_key(fields),
        rule_id=_identifier(fields, (*RULE_ID, "alert_id") if is_deprecated else RULE_ID),
        rule_name=_identifier(fields, (*RULE_NAME, "alert_name") if is_deprecated else RULE_NAME),
        alert_id=_identifier(fields, ALERT_ID),
        watch_id=_identifier(fields, ("watch_id",)),
        plain_id=_identifier(fields, ("id",)),
        elastalert_rule=_identifier(fields, RULE_NAME) if "alert_text" in fields else None,
        state=first(fields, STATE),
        name=cut_line(name, TITLE_LIMIT) if name else None,
        reason=cut(reason, DESCRIPTION_LIMIT) if reason else None,
        severity=_severity(fields),
        service=cut_line(service, SERVICE_LIMIT) if service else None,
    )


def _identifier(fields: Fields, paths: tuple[str, ...]) -> str | None:
    text = next((fields[path] for path in paths if path in fields and not has_variable(fields[path])), None)
    return dedup_key_from(text) if text and len(text) > IDENTIFIER_LIMIT else text


def _dedup_key(fields: Fields) -> str | None:
    """Refuse a key that is only a separator: a template made it of two missing variables."""
    text = _identifier(fields, ("dedup_key",))
    return text if text and any(map(str.isalnum, text)) else None


def _service(fields: Fields) -> str | None:
    tagged = (value for key, value in tags_of(fields) if key in {"service", "service_name"} and value)
    return first(fields, SERVICE) or next(tagged, None)


def _severity(fields: Fields) -> str | None:
    """The first known severity in: the severity fields, tags that name one, bare tags, the action group."""
    tags = tags_of(fields)
    texts = [fields[path] for path in (*SEVERITY, *TAGGED_SEVERITY) if path in fields]
    texts += [word for key, word in tags if key in {"severity", "priority"}]
    bare = [word for key, word in tags if key == ""]
    groups = [fields[path] for path in GROUP_SEVERITY if path in fields]
    found = [*map(severity_within, texts), *map(severity_from, bare), *map(severity_within, groups)]
    return next(filter(None, found), None)
