"""Elastic bodies with several alerts: lists and Kibana's summaries."""

from typing import Any

import pytest

from app.core.source import AlertSignal
from app.integrations.sources.elastic.alerts import LIST_DEPTH
from app.integrations.sources.elastic.payload import parse


def only(body: dict[str, Any]) -> AlertSignal:
    [signal] = parse(body)
    return signal


def test_a_list_of_alerts_is_one_signal_for_each_in_order() -> None:
    body = {
        "rule": {"id": "r", "name": "Rule"},
        "status": "active",
        "alerts": [
            {"id": "a", "severity": "low", "service": "s"},
            {"alert_id": "b", "name": "Own", "state": {"state": "recovered"}},
            {"kibana.alert.rule.uuid": "q", "kibana": {"alert": {"instance": {"id": "c"}}}},
            "disk full",
        ],
    }
    signals = parse(body)
    assert [(s.dedup_key, s.is_firing, s.title) for s in signals] == [
        ("r:a", True, "Rule"),
        ("r:b", False, "Own"),
        ("q:c", True, "Rule"),
        ("r", True, "Rule"),
    ]
    assert (signals[0].severity, signals[0].service) == ("low", "s")
    assert signals[3].description == "disk full"
    assert signals[3].metadata["alerts"] == [{"message": "disk full"}]
    assert signals[0].metadata == {**body, "alerts": [{"id": "a", "severity": "low", "service": "s"}]}


@pytest.mark.parametrize(
    "alerts",
    [
        [{"id": "a"}, {"id": "b"}, {}],
        [[{"id": "a"}], [{"id": "b"}], None],
        '[{"id": "a"}, {"id": "b"}]',
        '{"id": "a"},{"id": "b"}',
        ['{"id": "a"}', '{"id": "b"}', ""],
        {"new": {"count": 1, "data": '[{"id": "a"}]'}, "ongoing": [{"id": "b"}], "recovered": ""},
        {"all": {"count": 2, "data": [{"id": "a"}, {"id": "b"}]}},
        {"all": {"data": [{"id": "a"}]}, "new": {"data": [{"id": "a"}]}, "ongoing": {"data": {"id": "b"}}},
    ],
)
def test_several_alerts_however_they_are_listed(alerts: object) -> None:
    assert [signal.dedup_key for signal in parse({"alerts": alerts})] == ["a", "b"]


@pytest.mark.parametrize(
    "alerts",
    [
        [],
        [{}],
        {},
        {"new": {"count": 0, "data": []}, "ongoing": {"count": 0}, "recovered": {"count": "0", "data": ""}},
        {"all": {"count": 0, "data": []}},
    ],
)
def test_no_alerts_are_no_signals(alerts: object) -> None:
    assert parse({"rule": {"id": "r"}, "alerts": alerts}) == []


def test_an_empty_list_beside_an_alert_leaves_the_alert() -> None:
    assert only({"alert_id": "a", "alerts": []}).dedup_key == "a"


@pytest.mark.parametrize("alerts", [None, "", 3, True, "[object Object]"])
def test_alerts_that_are_no_list_leave_the_body_one_alert(alerts: object) -> None:
    assert only({"id": "a", "alerts": alerts}).dedup_key == "a"


@pytest.mark.parametrize(
    ("new", "recovered", "is_firing"), [(2, 1, True), ("1", "0", True), (0, 1, False), ("", "3", False)]
)
def test_a_summary_of_counts_is_one_alert(new: object, recovered: object, is_firing: bool) -> None:
    alerts = {"new": {"count": new}, "recovered": {"count": recovered}}
    signal = only({"dedup_key": "k", "alerts": alerts})
    assert (signal.dedup_key, signal.is_firing) == ("k", is_firing)
    assert alerts in next(iter(signal.metadata["alerts"].values()))


@pytest.mark.parametrize(("new", "recovered", "is_firing"), [(2, 1, True), ("0", "3", False)])
def test_a_summary_of_bare_counts_is_one_alert(new: object, recovered: object, is_firing: bool) -> None:
    alerts = {"new": new, "recovered": recovered}
    signal = only({"dedup_key": "k", "alerts": alerts})
    assert (signal.dedup_key, signal.is_firing, signal.description) == ("k", is_firing, None)
    assert alerts in next(iter(signal.metadata["alerts"].values()))


def test_an_alert_that_is_active_again_has_not_recovered() -> None:
    again = {"id": "a", "status": "active"}
    before = {"id": "a", "status": "recovered"}
    assert only({"alerts": {"new": [again], "recovered": [before]}}).is_firing
    assert not any(s.is_firing for s in parse({"alerts": {"new": [before], "recovered": [before]}}))


def test_a_list_may_tell_one_alerts_story() -> None:
    story = [{"id": "a", "status": status} for status in ("active", "recovered")]
    assert [signal.is_firing for signal in parse({"alerts": story})] == [True, False]


def test_a_key_around_the_alerts_resolves_only_if_none_fires() -> None:
    recovered, firing = {"status": "ok"}, {"status": "active"}
    assert [s.dedup_key for s in parse({"dedup_key": "k", "alerts": [recovered, firing]})] == [None, "k"]
    assert [s.dedup_key for s in parse({"dedup_key": "k", "alerts": [recovered, recovered]})] == ["k", "k"]


def test_the_state_around_the_alerts_is_theirs_if_they_have_none() -> None:
    body = {"status": "resolved", "alerts": [{"id": "a"}, {"id": "b", "status": "firing"}]}
    assert [signal.is_firing for signal in parse(body)] == [False, True]


def test_the_rules_name_around_the_alerts_is_part_of_their_keys() -> None:
    bodies = [{"rule_name": name, "alerts": [{"id": "query matched"}, "disk full"]} for name in ("A", "B")]
    keys = [[signal.dedup_key for signal in parse(body)] for body in bodies]
    assert keys == [["A:query matched", None], ["B:query matched", None]]


def test_a_large_context_is_kept_once() -> None:
    signals = parse({"text": "x" * 60_000, "alerts": [{"id": n} for n in range(300)]})
    assert [len(s.metadata.get("text", "")) for s in signals] == [60_000] + [0] * 299
    assert signals[299].metadata == {"alerts": [{"id": 299}]}


def test_a_small_context_is_kept_by_every_alert_of_many() -> None:
    signals = parse({"team": "x", "alerts": [{"id": n} for n in range(3_000)]})
    assert signals[-1].metadata == {"team": "x", "alerts": [{"id": 2_999}]}


def test_many_small_alerts_share_a_large_body_without_copying_it() -> None:
    context = {"message": "m" * 200_000, "tags": "t," * 50_000, "rule_id": "r" * 50_000}
    signals = parse({**context, "alerts": [{"id": n} for n in range(5_000)]})
    assert len({signal.dedup_key for signal in signals}) == 5_000
    assert len({id(signal.description) for signal in signals}) == 1


def test_the_state_around_a_summary_is_not_that_of_its_alerts() -> None:
    signals = parse({"status": "recovered", "alerts": {"new": [{"id": "a"}], "ongoing": [{"id": "b", "state": "ok"}]}})
    assert [signal.is_firing for signal in signals] == [True, False]


def test_each_alert_of_several_has_its_former_key() -> None:
    signals = parse({"rule_name": "Disk full", "alerts": [{"alert_id": "a"}, {"alert_id": "b", "rule_id": "r"}]})
    assert [signal.former_key and signal.former_key.key for signal in signals] == ["a", None]
    assert signals[0].former_key is not None
    assert signals[0].former_key.is_of({"rule_name": "Disk full", "alert_id": "a"})
    assert not signals[0].former_key.is_of({"alert_id": "a"})


@pytest.mark.parametrize(("levels", "key"), [(LIST_DEPTH, "a"), (LIST_DEPTH + 1, None)])
def test_lists_of_alerts_are_looked_into_to_a_certain_depth(levels: int, key: str | None) -> None:
    alerts: Any = {"id": "a"}
    for _ in range(levels):
        alerts = [alerts]
    assert only({"alerts": alerts}).dedup_key == key


def test_the_alerts_themselves_are_no_part_of_what_they_share() -> None:
    signals = parse({"team": "x", "alerts": [{"id": n, "text": "y" * 100} for n in range(600)]})
    assert signals[-1].metadata == {"team": "x", "alerts": [{"id": 599, "text": "y" * 100}]}
