"""The reasons for a page or for none, decided from facts alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.core.vocabulary import DeliveryStatus, EscalationState, NotificationKind
from app.models import EscalationEvent, Notification
from app.services.escalation import ConditionResult
from app.services.explain import why_pages, why_reasons
from app.services.explain.why import Addressee, Facts, Idle, Progress, Skipped, Step, explain
from app.services.explain.why_reasons import Place, Reason, Sent, Stop
from app.services.notification import ChannelChoice, Person

AT = datetime(2026, 1, 20, 10, 30, tzinfo=UTC)
PLACE = Place(7, "Night", 1)
STOP = Stop("acknowledged", AT, "Ann")
MISS = ConditionResult("severity", ("critical",), "low", holds=False)
HIT = ConditionResult("service", ("db",), "db", holds=True)
RUNNING, STOPPED, ENDED = EscalationState.RUNNING, EscalationState.STOPPED, EscalationState.ENDED


def person(key: str, *, by: str = "email", address: str | None = "a@example.com") -> Person:
    return Person(key, int(key.partition(":")[2]), (ChannelChoice(by, is_enabled=True, address=address),))


ANN, BEN, ADMIN = person("user:1"), person("user:2", address=None), person("user:9")
NOTHING = Facts(
    channels=frozenset({"email"}),
    stop=None,
    pages=(),
    skipped=(),
    nobody_since=None,
    escalations=(),
    idle=(),
    admins=(),
    involved=(),
)
SENT = Sent(
    notification_id=3,
    channel="email",
    status=DeliveryStatus.ACCEPTED,
    is_held=False,
    is_bundled=False,
    is_deferred=False,
    attempts=1,
    error=None,
    created_at=AT,
    accepted_at=AT,
    delivered_at=None,
    ended_at=None,
    next_attempt_at=None,
)


def told(**known: Any) -> dict[str, list[str]]:
    """The codes of the reasons for each recipient."""
    found = explain(replace(NOTHING, **known))
    return {recipient: [reason.code for reason in reasons] for recipient, reasons in found.items()}


def step(*people: Person, **times: datetime) -> Step:
    return Step(PLACE, tuple(Addressee(one, None) for one in people), **times)


def test_nothing_known_is_nothing_to_tell() -> None:
    assert told() == {}


def test_what_comes_first_is_what_was_sent_and_the_rest_follows_in_order() -> None:
    known = {
        "pages": [("user:1", SENT)],
        "skipped": [Skipped("user:1", PLACE, "sms", "quiet", AT)],
        "escalations": [Progress(RUNNING, is_active=True, steps_to_come=(step(ANN, due_at=AT),))],
        "idle": [Idle(8, "Day", [MISS], (step(ANN),))],
        "admins": [ANN],
    }
    assert told(**known) == {"user:1": ["accepted", "skipped", "not_due", "policy_mismatch"]}


@pytest.mark.parametrize("is_active", [True, False])
@pytest.mark.parametrize(
    ("state", "stop", "times", "codes"),
    [
        (STOPPED, STOP, {}, ["stopped"]),
        (STOPPED, None, {}, []),
        (RUNNING, STOP, {"due_at": AT}, ["not_due"]),
        (RUNNING, None, {"due_at": AT}, ["not_due"]),
        (RUNNING, None, {"due_at": AT, "tried_again_at": AT}, ["quarantined"]),
        (RUNNING, None, {}, []),
    ],
)
def test_a_step_to_come_says_what_becomes_of_it(
    state: EscalationState, stop: Stop | None, times: dict[str, datetime], codes: list[str], is_active: bool
) -> None:
    progress = Progress(state, is_active=is_active, steps_to_come=(step(ANN, **times),))
    assert told(stop=stop, escalations=[progress]).get("user:1", []) == codes


@pytest.mark.parametrize(("is_active", "codes"), [(True, []), (False, ["stopped"])])
def test_an_ended_step_is_told_only_if_its_policy_is_off(is_active: bool, codes: list[str]) -> None:
    progress = Progress(ENDED, is_active=is_active, steps_to_come=(step(ANN),))
    assert told(escalations=[progress]).get("user:1", []) == codes


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (ANN, ("not_due", "email", None)),
        (BEN, ("would_skip", "email", "no_address")),
        (Person("user:3", 3, ()), ("would_skip", None, "no_channel")),
        (Person("user:3", 3, (), is_active=False), ("would_skip", None, "not_active")),
    ],
)
def test_a_step_that_is_due_later_says_how_it_would_page(
    one: Person, expected: tuple[str, str | None, str | None]
) -> None:
    progress = Progress(RUNNING, is_active=True, steps_to_come=(step(one, due_at=AT),))
    [reason] = explain(replace(NOTHING, escalations=[progress]))[one.key]
    assert (reason.code, reason.channel, reason.detail) == expected
    assert (reason.at, reason.step, reason.policy_id) == (AT, 1, 7)


def test_a_step_to_come_pages_by_the_channels_that_it_names() -> None:
    both = replace(ANN, choices=(*ANN.choices, ChannelChoice("sms", is_enabled=True, address="+15550100")))
    later = Step(PLACE, (Addressee(both, ["sms"]),), due_at=AT)
    progress = Progress(RUNNING, is_active=True, steps_to_come=(later,))
    [reason] = explain(replace(NOTHING, escalations=[progress], channels=frozenset({"email", "sms"})))[both.key]
    assert (reason.code, reason.channel) == ("not_due", "sms")


def test_a_policy_that_does_not_match_is_told_once_to_each_of_its_people() -> None:
    idle = Idle(8, "Day", [HIT, MISS], (step(ANN, ANN), step(ANN, BEN)))
    assert told(idle=[idle], stop=STOP) == {"user:1": ["policy_mismatch"], "user:2": ["policy_mismatch"]}


def test_a_policy_that_came_to_match_after_the_stop_says_so_for_each_step() -> None:
    idle = Idle(8, "Day", [HIT], (step(ANN, ANN), step(ANN, BEN)))
    assert told(idle=[idle], stop=STOP) == {"user:1": ["stopped", "stopped"], "user:2": ["stopped"]}
    assert told(idle=[idle]) == {}


def test_administrators_say_why_they_were_not_reached_only_if_nobody_was() -> None:
    unreachable = [ADMIN, BEN]
    assert told(admins=unreachable, nobody_since=AT) == {"user:2": ["skipped"], "user:9": ["last_resort"]}
    assert told(admins=unreachable) == {"user:9": ["last_resort"], "user:2": ["last_resort"]}


def test_who_has_a_reason_is_told_nothing_general() -> None:
    found = told(admins=[ADMIN], involved=["user:9", "user:1", "user:1"], pages=[("user:1", SENT)])
    assert found == {"user:1": ["accepted"], "user:9": ["last_resort"]}
    assert told(involved=["user:1"]) == {"user:1": ["not_named"]}


CANCELLED = replace(SENT, status=DeliveryStatus.CANCELLED)


@pytest.mark.parametrize(
    ("known", "recipient", "reasons"),
    [
        ({"pages": [("user:1", CANCELLED)], "stop": STOP}, "user:1", why_reasons.of_page(CANCELLED, STOP)),
        (
            {"pages": [("email:a@example.com", SENT)]},
            "email:a@example.com",
            [*why_reasons.of_page(SENT, None), why_reasons.of_stranger()],
        ),
        (
            {"skipped": [Skipped("user:1", PLACE, "sms", "quiet", AT, "Ann")]},
            "user:1",
            [why_reasons.of_skip(PLACE, "sms", "quiet", AT, "Ann")],
        ),
        (
            {"admins": [BEN], "nobody_since": AT},
            "user:2",
            [why_reasons.of_unreachable("email", "no_address", AT)],
        ),
        ({"idle": [Idle(8, "Day", [MISS], (step(ANN),))]}, "user:1", [why_reasons.of_mismatch(8, "Day", [MISS])]),
    ],
)
def test_a_reason_is_worded_from_all_that_is_known(
    known: dict[str, Any], recipient: str, reasons: list[Reason]
) -> None:
    assert explain(replace(NOTHING, **known)) == {recipient: reasons}


def test_an_administrator_with_another_channel_was_not_unreachable() -> None:
    quiet = ChannelChoice("sms", is_enabled=True, address="+15550100", is_quiet=True)
    admin = replace(ADMIN, choices=(quiet, *ADMIN.choices))
    assert told(admins=[admin], nobody_since=AT, channels=frozenset({"sms", "email"})) == {"user:9": ["last_resort"]}


def test_each_page_brings_the_reasons_for_its_way() -> None:
    sent = replace(SENT, tried_before="sms", is_last_resort=True, is_bundled=True, accepted_at=AT + timedelta(1))
    assert told(pages=[("user:1", sent)]) == {"user:1": ["accepted", "fell_back", "nobody_else", "bundled"]}


@pytest.mark.parametrize(
    ("event_id", "recipient", "is_last_resort"),
    [(5, "user:1", False), (5, "user:2", True), (6, "user:2", False), (None, "user:1", True)],
)
def test_a_page_that_its_step_did_not_plan_is_a_last_resort(
    event_id: int | None, recipient: str, is_last_resort: bool
) -> None:
    """Of a step in another cycle it is not known whom it planned: nobody is called a last resort for that."""
    event = EscalationEvent(id=5, metadata_={"notified": [{"recipient": "user:1", "channel": "email"}]})
    page = Notification(
        id=1, event_id=event_id, recipient=recipient, channel="email", kind=NotificationKind.PAGE, attempt=0
    )
    [(told_to, sent)] = why_pages.sent([page], [event], {})
    assert (told_to, sent.is_last_resort) == (recipient, is_last_resort)
