"""What a policy may say, how it is kept, and what an event shows."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.core.channel import CHANNELS
from app.core.vocabulary import EventStatus, Severity
from app.schemas.escalation import EscalationEventRead, PolicyCreate, PolicyRead, PolicyUpdate, dump_steps
from app.schemas.preview import PreviewRequest

NOTIFY: dict[str, Any] = {"type": "notify"}
NOW = datetime(2026, 1, 20, 10, 30, tzinfo=UTC)
EVENT: dict[str, Any] = {
    "id": 1,
    "incident_id": 2,
    "policy_id": 3,
    "cycle": 1,
    "loop": 0,
    "step": 0,
    "triggered_at": NOW,
    "completed_at": NOW,
}

delays = st.one_of(st.integers(0, 43_200), st.floats(0, 43_200))
targets = st.one_of(
    st.sampled_from(["assignees", "creator", "admins", "all", *CHANNELS.names()]),
    st.integers(1, 2**31 - 1),
    st.emails(),
)
notifications = st.fixed_dictionaries(
    {"type": st.just("notify"), "target": targets | st.lists(targets, min_size=1, max_size=5)},
    optional={"channels": st.lists(st.sampled_from(CHANNELS.names())), "message": st.text("aé🔥 \n", max_size=9)},
)
assignments = st.fixed_dictionaries({"type": st.just("assign"), "user_id": st.integers(1, 99), "role": st.just("lead")})
moves = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["change_status", "status_change"]),
        "status": st.sampled_from(["open", "acknowledged", "resolved"]),
    }
)
actions = st.lists(notifications | assignments | moves, min_size=1, max_size=4)
steps = st.lists(st.tuples(delays, actions), min_size=1, max_size=6).map(
    lambda pairs: [step(*acts, delay=delay) for delay, acts in sorted(pairs, key=lambda pair: pair[0])]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["type", "target", "actions"]), inner),
    max_leaves=10,
)


def step(*actions: Any, delay: Any = 0) -> dict[str, Any]:
    return {"delay_minutes": delay, "actions": list(actions)}


def policy(**fields: Any) -> PolicyCreate:
    return PolicyCreate.model_validate({"name": "Policy", "steps": [step(NOTIFY)], **fields})


def kept(action: dict[str, Any]) -> dict[str, Any]:
    """An action as a policy with it alone keeps it."""
    [found] = dump_steps(policy(steps=[step(action)]).steps)[0]["actions"]
    return dict(found)


def test_a_policy_that_says_no_more_than_it_must_has_safe_defaults() -> None:
    made = policy()
    assert (made.conditions, made.is_active, made.repeat, made.description) == ({}, True, 0, None)
    assert dump_steps(made.steps) == [step({"type": "notify", "target": "assignees"})]


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"severity": "high"},
        {"severity": [str(severity) for severity in Severity]},
        {"service": "db"},
        {"service": ["db", "primary-*", "*"]},
        {"source": ["elastic", "api"]},
        {"assigned": True},
        {"assigned": [True, False]},
        {"metadata.tags.team": ["a", 1, 2.5, True, None]},
        {"metadata.kibana.alert.rule": "x"},
        {"metadata.x": None},
        {"severity": "low", "service": "a", "source": "api", "assigned": False, "metadata.x": "y"},
    ],
)
def test_conditions_that_can_match_are_taken_as_they_are(conditions: dict[str, Any]) -> None:
    assert policy(conditions=conditions).conditions == conditions


@pytest.mark.parametrize("depth", [1, 40])
def test_conditions_on_metadata_follow_a_path_of_any_length(depth: int) -> None:
    conditions = {"metadata." + ".".join("a" * depth): "x"}
    assert policy(conditions=conditions).conditions == conditions


@pytest.mark.parametrize(
    "target",
    [
        "assignees",
        "creator",
        "admins",
        "all",
        *CHANNELS.names(),
        1,
        2**31 - 1,
        "ops@example.com",
        ["admins", 5, "ops@example.com", "sms"],
        list(range(1, 101)),
    ],
)
def test_a_target_is_a_group_a_person_a_channel_or_a_list_of_those(target: Any) -> None:
    assert kept({**NOTIFY, "target": target})["target"] == target


@pytest.mark.parametrize(
    ("given_names", "once"),
    [
        (["all"] * 100, ["all"]),
        (["admins", 5, "Ops@EXAMPLE.com", 5, "admins", "Ops@example.com"], ["admins", 5, "Ops@example.com"]),
    ],
)
def test_a_target_that_is_repeated_is_kept_once_where_it_came_first(given_names: list[Any], once: list[Any]) -> None:
    assert kept({**NOTIFY, "target": given_names})["target"] == once


def test_a_channel_that_is_repeated_is_kept_once_where_it_came_first() -> None:
    assert kept({**NOTIFY, "channels": ["sms", "email", "sms"]})["channels"] == ["sms", "email"]
    assert kept({**NOTIFY, "channels": ["email"] * 100})["channels"] == ["email"]


def test_what_is_repeated_in_the_policy_of_a_preview_is_merged_as_well() -> None:
    action = {**NOTIFY, "target": ["all"] * 100, "channels": ["email"] * 100}
    body = {"incident_id": 1, "policy": {"name": "Draft", "actions": [action]}}
    wanted = PreviewRequest.model_validate(body)
    assert wanted.policy is not None
    [found] = dump_steps(wanted.policy.steps)[0]["actions"]
    assert (found["target"], found["channels"]) == (["all"], ["email"])


def test_an_address_is_kept_in_its_plain_form() -> None:
    assert kept({**NOTIFY, "target": "Ops@EXAMPLE.com"})["target"] == "Ops@example.com"


@pytest.mark.parametrize("channels", [[], ["email"], ["sms", "email"], CHANNELS.names()])
def test_every_known_channel_may_be_named(channels: list[str]) -> None:
    assert kept({**NOTIFY, "channels": channels})["channels"] == channels


@pytest.mark.parametrize("field", ["channels", "message"])
def test_null_in_an_action_is_as_good_as_nothing(field: str) -> None:
    assert kept({**NOTIFY, field: None}) == {"type": "notify", "target": "assignees"}


def test_who_is_assigned_is_a_responder_unless_said() -> None:
    assert kept({"type": "assign", "user_id": 7}) == {"type": "assign", "user_id": 7, "role": "responder"}


@pytest.mark.parametrize("spelling", ["change_status", "status_change"])
@pytest.mark.parametrize("status", ["open", "acknowledged", "resolved"])
def test_a_change_of_status_has_two_spellings_and_is_kept_in_its_own(spelling: str, status: str) -> None:
    assert kept({"type": spelling, "status": status}) == {"type": spelling, "status": status}


@pytest.mark.slow
@given(steps)
def test_steps_in_order_are_kept_as_they_are_and_can_be_sent_back(given_steps: list[dict[str, Any]]) -> None:
    once = dump_steps(policy(steps=given_steps).steps)
    assert [one["delay_minutes"] for one in once] == [one["delay_minutes"] for one in given_steps]
    assert [[a["type"] for a in one["actions"]] for one in once] == [
        [a["type"] for a in one["actions"]] for one in given_steps
    ]
    assert dump_steps(policy(steps=once).steps) == once


@given(st.lists(delays, min_size=2, max_size=8))
def test_delays_are_taken_if_and_only_if_they_never_decrease(given_delays: list[float]) -> None:
    def make() -> PolicyCreate:
        return policy(steps=[step(NOTIFY, delay=delay) for delay in given_delays])

    if given_delays == sorted(given_delays):
        assert len(make().steps) == len(given_delays)
    else:
        with pytest.raises(ValidationError, match="never decrease"):
            make()


@given(json_values, json_values, json_values)
def test_any_json_is_either_a_policy_or_refused(name: Any, conditions: Any, given_steps: Any) -> None:
    for body in (
        {"name": name, "conditions": conditions, "steps": given_steps},
        {"name": "x", "conditions": conditions, "actions": given_steps},
        {"name": "x", "steps": [step(given_steps)]},
        {"name": "x", "actions": [{"type": "notify", "target": given_steps, "channels": conditions}]},
    ):
        try:
            made = PolicyCreate.model_validate(body)
        except ValidationError:
            continue
        assert made.steps


def test_the_short_form_is_one_step_at_once() -> None:
    short = PolicyCreate.model_validate({"name": "Policy", "actions": [NOTIFY, NOTIFY]})
    assert short == policy(steps=[step(NOTIFY, NOTIFY)])
    assert PolicyUpdate.model_validate({"actions": [NOTIFY]}).changes().keys() == {"steps"}


def test_absent_fields_stay_and_null_clears_only_what_may_be_empty() -> None:
    assert PolicyUpdate.model_validate({}).changes() == {}
    assert PolicyUpdate.model_validate({"actions": None}).changes() == {}
    assert PolicyUpdate.model_validate({"description": None}).changes() == {"description": None}
    for field in ("name", "conditions", "steps", "is_active", "repeat"):
        with pytest.raises(ValidationError):
            PolicyUpdate.model_validate({field: None})


def test_an_answer_can_be_sent_back() -> None:
    made = policy(description="x", conditions={"severity": "high"}, repeat=3)
    fields = {**made.model_dump(exclude={"actions"}), "steps": dump_steps(made.steps)}
    answer = PolicyRead(id=1, version=2, created_at=NOW, updated_at=NOW, warnings=["sms"], **fields)
    assert PolicyUpdate.model_validate(answer.model_dump(mode="json")).changes().keys() == fields.keys()


def test_the_reference_says_plainly_what_a_delay_counts_from() -> None:
    for schema in (PolicyCreate.model_json_schema(), PolicyUpdate.model_json_schema()):
        text = schema["$defs"]["Step"]["properties"]["delay_minutes"]["description"]
        assert "from the start of the escalation, not from the previous step" in text


@pytest.mark.parametrize("status", EventStatus)
def test_an_event_shows_its_step_its_status_and_when(status: EventStatus) -> None:
    event = EscalationEventRead.model_validate(SimpleNamespace(**EVENT, status=status, metadata_={"notified": []}))
    shown = event.model_dump(mode="json")
    moment = "2026-01-20T10:30:00Z"
    times = {"triggered_at": moment, "completed_at": moment}
    assert shown == {**EVENT, **times, "status": status.value, "metadata": {"notified": []}}


def test_an_event_that_has_not_ended_has_no_time_for_it() -> None:
    event = SimpleNamespace(**EVENT | {"completed_at": None}, status="pending", metadata_={})
    assert EscalationEventRead.model_validate(event).completed_at is None


@pytest.mark.parametrize("wrong", [{"status": "done"}, {"status": None}, {"step": None}, {"triggered_at": None}])
def test_an_event_of_no_known_form_is_not_shown(wrong: dict[str, Any]) -> None:
    fields = {**EVENT, "status": "completed", "metadata_": {}, **wrong}
    with pytest.raises(ValidationError):
        EscalationEventRead.model_validate(SimpleNamespace(**fields))
