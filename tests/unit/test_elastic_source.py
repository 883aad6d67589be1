"""Elastic's bodies, as its senders write them, turned into signals."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.source import AlertSignal
from app.core.storable import MAX_INTEGER_BITS
from app.integrations.sources.elastic.fields import MAX_DEPTH, PATH_LIMIT, TEMPLATE_LIMIT, fields_of
from app.integrations.sources.elastic.payload import IDENTIFIER_LIMIT, parse
from app.integrations.sources.elastic.source import Elastic
from app.services.incidents.alert import dedup_key_from

SAMPLES = Path(__file__).parents[1] / "samples" / "elastic"

LATENCY = "3f2b1a90-7c1d-11ef-9a53-0242ac120002:opbeans-java_production_request"
LATENCY_REASON = (
    "Avg. latency is 5.5 s in the last 5 mins for service: opbeans-java, env: production, type: request. "
    "Alert when > 1.5 s."
)
PAYMENTS = "5d1c:payments_production_request"
PAYMENTS_REASON = (
    "Failed transactions is 12% in the last 5 mins for service: payments, env: production, type: request. "
    "Alert when > 5%."
)
SEARCH = "77aa:search_production"
SEARCH_REASON = "Error count is 42 in the last 5 mins for service: search, env: production. Alert when > 25."


def sample(name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return body


def only(body: dict[str, Any]) -> AlertSignal:
    [signal] = parse(body)
    return signal


# name: key, fires, title, description, severity, service
SINGLE: dict[str, tuple[str | None, bool, str, str | None, str | None, str]] = {
    "flat-active": (
        "latency-api-gateway",
        True,
        "High latency - api-gateway",
        "p95 latency 1840 ms is above 1000 ms",
        "high",
        "api-gateway",
    ),
    "flat-recovered": (
        "latency-api-gateway",
        False,
        "High latency - api-gateway",
        "p95 latency is back to 410 ms",
        "high",
        "api-gateway",
    ),
    "kibana-alert-document-dotted": (
        SEARCH,
        True,
        "Error count | search",
        SEARCH_REASON,
        "critical",
        "search",
    ),
    "kibana-alert-document-nested": (
        SEARCH,
        False,
        "Error count | search",
        "Error count is 3",
        None,
        "search",
    ),
    "kibana-nested-active": (
        PAYMENTS,
        True,
        "Failed transaction rate | payments",
        PAYMENTS_REASON,
        "critical",
        "payments",
    ),
    "kibana-variables-active": (
        LATENCY,
        True,
        "Latency threshold | opbeans-java",
        LATENCY_REASON,
        None,
        "opbeans-java",
    ),
    "kibana-variables-recovered-without-context": (
        LATENCY,
        False,
        "Latency threshold | opbeans-java",
        None,
        None,
        "opbeans-java",
    ),
    "watcher": ("apm-error-watch", True, "apm-error-watch", None, None, "unknown"),
    "wrapped-alert": (None, True, "Error rate", None, "high", "checkout"),
}


@pytest.mark.parametrize("name", SINGLE)
def test_a_sample_of_one_alert_is_understood(name: str) -> None:
    body = sample(name)
    assert parse(body) == [AlertSignal("elastic", *SINGLE[name], metadata=body)]


def test_a_summary_is_one_signal_for_each_alert() -> None:
    body = sample("kibana-summary")
    new, recovered = (body["alerts"][group]["data"] for group in ("new", "recovered"))
    reason, title = "Failed transactions is 9% for service: cart", "Failed transaction rate"
    assert parse(body) == [
        AlertSignal(
            source="elastic",
            dedup_key="5d1c:cart_production_request",
            is_firing=True,
            title=title,
            description=reason,
            severity=None,
            service="cart",
            metadata={"rule": body["rule"], "alerts": {"new": new}},
        ),
        AlertSignal(
            source="elastic",
            dedup_key=PAYMENTS,
            is_firing=False,
            title=title,
            description=None,
            severity=None,
            service="payments",
            metadata={"rule": body["rule"], "alerts": {"recovered": recovered}},
        ),
    ]


def test_every_sample_is_in_a_table() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == {*SINGLE, "kibana-summary"}


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"dedup_key": "k", "rule_id": "r", "alert_id": "a", "watch_id": "w", "id": "i"}, "k"),
        ({"dedup_key": "", "rule_id": "r", "alert_id": "a", "watch_id": "w", "id": "i"}, "r:a"),
        ({"rule_id": "r", "alert_id": " ", "watch_id": "w", "id": "i"}, "w"),
        ({"watch_id": "w", "alert_id": "a", "id": "i"}, "w"),
        ({"watch_id": "", "alert_id": "a", "id": "i"}, "a"),
        ({"id": "i", "name": "n"}, "i"),
        ({"rule_id": "r", "id": "i"}, "i"),
        ({"alert": {"id": "a"}}, "a"),
        ({"alert": {"dedup_key": "k", "id": "a"}}, "k"),
        ({"alert": {"id": "a"}, "rule": {"id": "r"}}, "r:a"),
        ({"alert": {"id": "a", "alert_id": "b"}}, "b"),
        ({"alert": {"id": "a", "rule": {"id": "r"}}}, "r:a"),
        ({"alert": '{"id": "a"}', "rule": '{"id": "r"}'}, "r:a"),
        ({"rule.id": "r", "alert.id": "a"}, "r:a"),
        ({"ruleId": "r", "alertId": "a"}, "r:a"),
        ({"alertId": "r", "alertInstanceId": "a"}, "r:a"),
        ({"kibana.alert": {"rule.uuid": "r", "instance": {"id": "*"}}}, "r:*"),
        ({"_source": {"kibana.alert.rule.uuid": "r", "kibana.alert.instance.id": "a"}}, "r:a"),
        ({"kibana.alert.rule.uuid": ["r"], "kibana.alert.instance.id": ["a"]}, "r:a"),
        ({"ctx": {"watch_id": "w", "id": "w_5f1c-2025-01-20"}}, "w"),
        ({"id": 123}, "123"),
        ({"id": 0}, "0"),
        ({"rule_id": 1, "alert_id": 2.5}, "1:2.5"),
        ({"id": True, "alert_id": False}, None),
        ({"id": None, "alert_id": {}, "dedup_key": []}, None),
        ({"id": float("nan")}, None),
        ({"dedup_key": " : "}, None),
        ({"rule_id": "r"}, "r"),
        ({"rule": {"id": "r"}, "message": "m"}, "r"),
        ({"rule_name": "n", "alert_id": "a", "id": "i"}, "n:a"),
        ({"rule": {"name": "n"}, "alert": {"id": "a"}}, "n:a"),
        ({"kibana.alert.rule.name": "n", "kibana.alert.instance.id": "a"}, "n:a"),
        ({"alertName": "n", "alertInstanceId": "a"}, "n:a"),
        ({"watch_id": "w", "rule_name": "n", "alert_id": "a"}, "w"),
        ({"rule_id": "r", "rule_name": "n", "alert_id": "a"}, "r:a"),
        ({"alert_name": "n", "alert_id": "a"}, "a"),
        ({"rule_name": "n", "id": "i"}, "i"),
        ({"rule_name": "n"}, None),
        ({"rule_name": "n", "alert_text": "t"}, "n"),
        ({"rule_name": "n", "alert_text": "t", "id": "i"}, "i"),
        ({"rule_name": "n", "alert_text": "t", "rule_id": "r"}, "r"),
        ({"rule_id": "{{rule.id}}", "alert_id": "{{alert.id}}", "id": "i"}, "i"),
        ({"dedup_key": "{{rule.id}}:{{alert.id}}"}, None),
        ({"dedup_key": "prod-{{alert.id}}", "id": "i"}, "i"),
        ({"dedup_key": "a{{b", "id": "i"}, "a{{b"),
        ({"alert": {"uuid": "u"}, "alert_uuid": "u", "kibana.alert.uuid": "u", "_id": "u"}, None),
    ],
)
def test_the_key_is_the_first_there_is(body: dict[str, Any], key: str | None) -> None:
    assert only(body).dedup_key == key


def test_long_keys_stay_apart_and_fit() -> None:
    rule = "r" * 250
    keys = [only({"rule_id": rule, "alert_id": f"alert-{n}"}).dedup_key for n in (1, 2, 1)]
    assert keys[0] == keys[2] != keys[1]
    assert len(keys[0] or "") == 255
    assert only({"dedup_key": f"{rule}:alert-1"}).dedup_key == keys[0]


def test_of_an_identifier_of_any_length_a_key_stays_the_same() -> None:
    """Open incidents are found by it."""
    longest = "r" * IDENTIFIER_LIMIT
    assert only({"rule_id": longest, "alert_id": "a"}).dedup_key == dedup_key_from(f"{longest}:a")
    longer = longest + "r"
    assert only({"rule_id": longer, "alert_id": "a"}).dedup_key == dedup_key_from(f"{dedup_key_from(longer)}:a")


@pytest.mark.parametrize(
    ("body", "is_firing"),
    [
        ({}, True),
        ({"status": ""}, True),
        ({"status": "untracked"}, True),
        ({"status": 1}, True),
        ({"status": "OK"}, False),
        ({"state": "Resolved"}, False),
        ({"state": {"state": "recovered"}, "status": "active"}, False),
        ({"state": {"state": "active"}, "status": "recovered"}, True),
        ({"state": '{"state": "recovered"}'}, False),
        ({"alert": {"actionGroup": "recovered"}}, False),
        ({"alert": {"actionGroupName": "Recovered"}}, False),
        ({"alert": {"actionGroup": "threshold_met"}}, True),
        ({"alertActionGroup": "recovered"}, False),
        ({"status": "recovered", "alert": {"status": "active"}}, False),
        ({"alert": {"actionGroup": "recovered"}, "context": {"status": "down"}}, False),
        ({"status": "回復済み", "actionGroup": "recovered"}, False),
        ({"status": "Recovered", "actionGroup": "threshold_met"}, True),
        ({"state": "Rétabli", "action_group_id": "recovered"}, False),
        ({"actionGroup": "", "status": "recovered"}, False),
        ({"actionGroup": "{{alert.actionGroup}}", "status": "recovered"}, False),
        ({"kibana.alert.status": "recovered", "kibana.alert.action_group": "threshold_met"}, False),
        ({"alert": {"kibana.alert.status": "recovered"}}, False),
    ],
)
def test_only_a_recovered_alert_does_not_fire(body: dict[str, Any], is_firing: bool) -> None:
    assert only(body).is_firing is is_firing


@pytest.mark.parametrize(
    ("body", "severity"),
    [
        ({"severity": "P1"}, "critical"),
        ({"severity": "", "tags": "apm,warning"}, "medium"),
        ({"severity": "page me", "tags": ["apm", "low"]}, "low"),
        ({"severity": "page me"}, None),
        ({"severity": {"a": 1}, "priority": "high"}, "high"),
        ({"context": {"severity": "major"}}, "high"),
        ({"rule_tags": "low,severity:critical"}, "critical"),
        ({"tags": "team=a=b, severity = high"}, "high"),
        ({"tags": {"severity": "low"}}, "low"),
        ({"tags": "priority:page P2"}, "high"),
        ({"tags": '["critical","payments"]'}, "critical"),
        ({"tags": "env:critical"}, None),
        ({"kibana.alert.rule.tags": ["critical"]}, "critical"),
        ({"severity": "critical (P1)"}, "critical"),
        ({"severity": "Critical - page"}, "critical"),
        ({"severity": "P2: page the team"}, "high"),
        ({"priority": "Sev 3"}, "medium"),
        ({"severity": "non-critical"}, None),
        ({"tags": "severity:high (P2)"}, "high"),
        ({"tags": "low traffic,high"}, "high"),
        ({"tags": "error-budget"}, None),
        ({"actionGroupName": "Critical"}, "critical"),
        ({"alert": {"actionGroup": "slo.burnRate.low", "actionGroupName": "低"}}, "low"),
        ({"actionGroupName": "High", "severity": "low"}, "low"),
        ({"actionGroupName": "High", "tags": "low"}, "low"),
        ({"actionGroupName": "Threshold met"}, None),
        ({"log": {"level": "error"}}, "high"),
        ({"log.level": "warn", "severity": "critical"}, "critical"),
        ({"severity": "{{context.severity}}", "tags": "low"}, "low"),
        ({"rule_type": "apm.anomaly", "threshold": "minor", "value": "critical"}, None),
    ],
)
def test_the_severity_is_a_word_we_know_or_none(body: dict[str, Any], severity: str | None) -> None:
    assert only(body).severity == severity


@pytest.mark.parametrize(
    ("body", "service"),
    [
        ({"service": "a"}, "a"),
        ({"service": {"name": "a"}}, "a"),
        ({"service": '{"name": "a"}'}, "a"),
        ({"service.name": ["a"]}, "a"),
        ({"service_name": "a", "context": {"serviceName": "b"}}, "a"),
        ({"service": "", "context": '{"serviceName": "b"}'}, "b"),
        ({"tags": {"service": "a"}}, "a"),
        ({"rule": {"tags": ["apm", "service.name:a=b:8080"]}}, "a=b:8080"),
        ({"labels": {"service": "a"}}, "a"),
        ({"tags": "service:,service_name:a"}, "a"),
        ({"tags": ["XML", " service : 'X [1] X' "]}, "X [1] X"),
        ({"tags": '["apm","service:a"]'}, "a"),
        ({"service.name": "a", "service": {"name": "b"}}, "a"),
        ({"service": [{}, None], "tags": "service:"}, "unknown"),
        ({"service": " \n "}, "unknown"),
        ({"service": "x" * 200}, "x" * 99 + "…"),
    ],
)
def test_the_service_is_wherever_the_sender_names_it(body: dict[str, Any], service: str) -> None:
    assert only(body).service == service


@pytest.mark.parametrize(
    ("body", "title", "description"),
    [
        ({}, "Alert from Elastic", None),
        ({"alert_name": "a", "rule_name": "b", "name": "c", "title": "d", "watch_id": "e"}, "a", None),
        ({"rule": {"name": "b"}, "title": "d", "reason": "f"}, "b", "f"),
        ({"title": "d", "watch_id": "e"}, "d", None),
        ({"watch_id": "e", "message": "m"}, "e", "m"),
        ({"reason": "two\nlines"}, "two lines", "two\nlines"),
        ({"rule": "CPU", "message": "m"}, "CPU", "m"),
        ({"name": "\0"}, "\ufffd", None),
        ({"name": True, "message": 5}, "5", "5"),
        ({"rule_name": "n", "alert_text": "t", "message": "the log line"}, "n", "t"),
        ({"alert_subject": "s", "alert_text": "t"}, "s", "t"),
        ({"rule_name": "{{rule.name}}", "message": "{{context.reason}}"}, "Alert from Elastic", None),
        ({"name": "{{rule.name}}: {{alert.id}}", "title": "d"}, "d", None),
        ({"message": "{{#context}}{{context.reason}}{{/context}}", "reason": "r"}, "r", "r"),
        ({"message": "{{#toJson}}context{{/toJson}}", "reason": "r"}, "r", "r"),
        ({"name": "Rule {{rule.name}} fired"}, "Rule {{rule.name}} fired", None),
        ({"message": '{"code": 5}', "name": "n"}, "n", '{"code": 5}'),
        ({"name": "n" * 300, "reason": "r" * 10_001}, "n" * 254 + "…", "r" * 9_999 + "…"),
    ],
)
def test_title_and_description(body: dict[str, Any], title: str, description: str | None) -> None:
    signal = only(body)
    assert (signal.title, signal.description) == (title, description)
    assert signal.metadata == body or "\0" in str(body["name"])


def test_the_former_key_left_out_the_rules_name() -> None:
    firing = only({"rule_name": "Disk full", "alert_id": "query matched"})
    assert firing.former_key is not None
    assert firing.former_key.key == "query matched"
    assert firing.former_key.is_of({"rule_name": "Disk full", "alert_id": "query matched", "message": "m"})
    assert firing.former_key.is_of({})
    assert not firing.former_key.is_of({"rule_name": "Payments 5xx", "alert_id": "query matched"})
    assert not firing.former_key.is_of({"alert_id": "query matched"})


def test_a_recovery_also_ends_what_a_body_without_the_rules_name_opened() -> None:
    former = only({"rule_name": "Disk full", "alert_id": "a", "status": "recovered"}).former_key
    assert former is not None
    assert former.is_of({"alert_id": "a"})
    assert not former.is_of({"rule_name": "Payments 5xx", "alert_id": "a"})


@pytest.mark.parametrize(
    "body",
    [{"alert_id": "a"}, {"rule_id": "r", "rule_name": "n", "alert_id": "a"}, {"dedup_key": "k", "alert_id": "a"}],
)
def test_an_alert_whose_key_has_not_changed_has_no_former_one(body: dict[str, Any]) -> None:
    assert only(body).former_key is None


@cache
def nested(wrap: Callable[[Any], Any]) -> Any:
    """A very deep body, made once."""
    value: Any = {"id": "a"}
    for _ in range(100_000):
        value = wrap(value)
    return value


@pytest.mark.parametrize("key", ["", "alert", "alerts", "tags", "kibana"])
@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"alert": inner}, lambda inner: {"": inner}])
def test_nesting_of_any_depth_is_no_error(key: str, wrap: Callable[[Any], Any]) -> None:
    assert len(parse({key: nested(wrap)})) == 1


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"id": ' + "9" * 5_000 + "}"])
def test_a_text_that_looks_like_json_but_is_none_is_no_error(text: str) -> None:
    assert only({"alerts": text, "message": text}).description is not None


def test_a_path_too_long_to_be_a_known_one_is_not_looked_into() -> None:
    assert fields_of({"k" * 100: {"id": 1}, "k": {"id": 1}}) == {"k_id": "1"}


def test_a_field_is_looked_for_to_a_certain_length_and_depth_of_its_path() -> None:
    assert fields_of({"k" * (PATH_LIMIT - 1): 1, "l" * PATH_LIMIT: 1}) == {"k" * (PATH_LIMIT - 1): "1"}
    nested: Any = "x"
    for _ in range(MAX_DEPTH):
        nested = {"a": nested}
    assert fields_of(nested) == {"_".join("a" * MAX_DEPTH): "x"}
    assert fields_of({"a": nested}) == {}


def test_a_number_of_as_many_bits_as_can_be_stored_is_a_text() -> None:
    number = 2 ** (MAX_INTEGER_BITS - 1)
    assert fields_of({"a": number, "b": 2 * number}) == {"a": str(number)}


def test_only_a_text_as_short_as_a_template_counts_as_unrendered() -> None:
    assert fields_of({"a": "{{x}}" * (TEMPLATE_LIMIT // 5)}) == {}
    longer = "{{x}}" * (TEMPLATE_LIMIT // 5) + "!"
    assert fields_of({"a": longer}) == {"a": longer}


def test_numbers_that_python_cannot_write_are_no_error() -> None:
    body = {"id": 10**5000, "name": float("inf"), "alerts": [{"id": 10**5000}, 10**5000]}
    assert [signal.dedup_key for signal in parse(body)] == [None]


TEXTS = st.text(st.characters(exclude_categories=[]), max_size=300) | st.sampled_from(
    [
        "recovered",
        "active",
        "",
        " ",
        "true",
        "1",
        '{"id": 1}',
        "[1]",
        "{",
        "critical",
        "a:b,c=d",
        "\0",
        "\ud800",
    ]
)
KNOWN_KEYS = (
    "alert alerts rule context state status service name tags labels severity id uuid dedup_key alert_id "
    "rule_id watch_id message reason title kibana kibana.alert kibana.alert.rule.uuid instance new ongoing "
    "kibana.alert.instance.id recovered all data count _source ctx alertId alertInstanceId actionGroup"
)
KEYS = st.sampled_from(KNOWN_KEYS.split()) | st.text(st.characters(exclude_categories=[]), max_size=100)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=25,
)
BODIES = st.dictionaries(KEYS, VALUES, max_size=8)


def assert_is_storable(text: str | None) -> None:
    assert text is None or "\0" not in text
    (text or "").encode()


@pytest.mark.slow
@given(BODIES)
def test_any_json_object_becomes_signals_that_can_be_stored(body: dict[str, Any]) -> None:
    signals = parse(body)
    assert signals or "alerts" in body
    for signal in signals:
        assert 1 <= len(signal.title) <= 255
        assert 1 <= len(signal.service) <= 100
        assert signal.dedup_key is None or 1 <= len(signal.dedup_key) <= 255
        assert signal.severity in {"critical", "high", "medium", "low", None}
        for text in (signal.title, signal.service, signal.dedup_key, signal.description):
            assert_is_storable(text)
        written = json.dumps(signal.metadata, ensure_ascii=False, allow_nan=False)
        written.encode()
        assert "\\u0000" not in written.replace("\\\\", "")


@pytest.mark.slow
@given(BODIES)
def test_the_same_body_gives_the_same_keys(body: dict[str, Any]) -> None:
    assert [s.dedup_key for s in parse(body)] == [s.dedup_key for s in parse(json.loads(json.dumps(body)))]


@given(st.sampled_from(sorted(SINGLE)), st.randoms(use_true_random=False))
def test_the_order_of_the_fields_does_not_matter(name: str, random: Any) -> None:
    items = list(sample(name).items())
    random.shuffle(items)
    assert only(dict(items)) == only(sample(name))


@pytest.mark.parametrize("severity", ["---", "!", "重大", ""])
def test_a_severity_without_a_known_word_loses_no_alert(severity: str) -> None:
    [signal] = parse({"alert_id": "a", "severity": severity})
    assert signal.severity is None


def test_the_source_parses_what_it_is_posted() -> None:
    assert Elastic().parse(sample("flat-active")) == parse(sample("flat-active"))
