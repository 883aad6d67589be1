"""Being quiet for a while."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.utils.service_locator import Services
from app.worker.batches import PlanLimits
from tests.support.answers import problem
from tests.support.api import Api, without_remark
from tests.support.inline import inline_jobs
from tests.support.world import Clock, Person

Tick = Callable[[], None]
BODY, QUERY = "POST /incidents/{}/snooze", "POST /incidents/{}/snooze?hours={}"


@pytest.fixture
def api(client: TestClient, user: Person) -> Api:
    return Api(client, user.headers)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def length(incident: dict[str, Any]) -> timedelta:
    """How long the incident is quiet, from the moment it was snoozed."""
    return moment(incident["snoozed_until"]) - moment(incident["updated_at"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"minutes": 30}, timedelta(minutes=30)),
        ({"minutes": 0.5}, timedelta(seconds=30)),
        ({"hours": 2}, timedelta(hours=2)),
        ({"hours": 720}, timedelta(days=30)),
        ({"minutes": 43_200}, timedelta(days=30)),
        ({"hours": 1.5, "minutes": None, "until": None}, timedelta(minutes=90)),
    ],
)
def test_a_snooze_lasts_as_long_as_the_body_says(api: Api, body: dict[str, Any], expected: timedelta) -> None:
    incident = api.call(BODY.format(api.open()["id"]), body)
    assert (incident["status"], length(incident)) == ("snoozed", expected)


@pytest.mark.parametrize(("hours", "expected"), [("2", 120), ("0.5", 30), ("720", 43_200), ("2e0", 120)])
def test_a_snooze_lasts_as_long_as_the_query_says(api: Api, hours: str, expected: int) -> None:
    incident = api.call(QUERY.format(api.open()["id"], hours))
    assert length(incident) == timedelta(minutes=expected)


@pytest.mark.parametrize("hours_east", [0, 2, -7.5])
def test_an_end_may_be_given_in_any_zone_and_is_answered_in_utc(api: Api, hours_east: float) -> None:
    incident = api.open()
    end = moment(incident["created_at"]) + timedelta(days=3)
    until = end.astimezone(timezone(timedelta(hours=hours_east))).isoformat()
    snoozed = api.call(BODY.format(incident["id"]), {"until": until})["snoozed_until"]
    assert moment(snoozed) == end
    assert moment(snoozed).utcoffset() == timedelta()


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"hours": 0}, "/hours"),
        ({"hours": -1}, "/hours"),
        ({"hours": 720.001}, "/hours"),
        ({"hours": "2"}, "/hours"),
        ({"hours": True}, "/hours"),
        ({"minutes": 0}, "/minutes"),
        ({"minutes": 43_201}, "/minutes"),
        ({"until": "soon"}, "/until"),
        ({"until": "2999-01-01T00:00:00"}, "/until"),
        ({"until": 4_102_444_800}, "/until"),
        ({"until": "2001-01-01T00:00:00Z"}, "/until"),
        ({"until": "9999-12-31T23:59:59Z"}, "/until"),
        ({"days": 1}, "/days"),
        ({"hours": 1, "days": 1}, "/days"),
        ({"hours": 1, "minutes": 1}, ""),
        ({"hours": None}, ""),
        ({}, ""),
    ],
)
def test_a_snooze_without_one_sound_end_is_refused_by_the_field(api: Api, body: dict[str, Any], pointer: str) -> None:
    incident = api.open()
    problem(api.send(BODY.format(incident["id"]), body), 422, pointer=pointer)
    assert api.incident(incident["id"])["status"] == "open"


@pytest.mark.parametrize("hours", ["0", "-1", "720.1", "1e-300", "nan", "inf", "x", ""])
def test_a_query_without_a_sound_end_is_refused(api: Api, hours: str) -> None:
    problem(api.send(QUERY.format(api.open()["id"], hours)), 422)


def test_a_snooze_may_end_just_within_thirty_days_and_no_later(api: Api) -> None:
    incident = api.open()
    limit = moment(incident["created_at"]) + timedelta(days=30)
    late = (limit + timedelta(seconds=1)).isoformat()
    problem(api.send(BODY.format(incident["id"]), {"until": late}), 422, pointer="/until")
    api.call(BODY.format(incident["id"]), {"until": limit.isoformat()})


def test_the_end_is_given_once(api: Api) -> None:
    incident_id = api.open()["id"]
    problem(api.send(BODY.format(incident_id)), 422, pointer="hours")
    problem(api.send(QUERY.format(incident_id, 1), {"hours": 1}), 422, pointer="hours")


def test_a_snooze_ends_by_itself_in_its_time_and_not_before(api: Api, clock: Clock, tick: Tick) -> None:
    incident_id = api.open()["id"]
    end = api.call(QUERY.format(incident_id, 2))["snoozed_until"]
    clock.advance(hours=2, seconds=-1)
    tick()
    assert api.incident(incident_id)["status"] == "snoozed"
    clock.advance(seconds=1)
    tick()
    woken = api.incident(incident_id)
    assert (woken["status"], woken["snoozed_until"], woken["updated_at"]) == ("open", None, end)
    newest = without_remark(woken["timeline_events"])[0]
    assert (newest["event_type"], newest["user_id"]) == ("snooze_ended", None)


def test_an_ended_snooze_clears_the_acknowledgement_and_keeps_assignees(
    api: Api, user: Person, clock: Clock, tick: Tick
) -> None:
    incident_id = api.open()["id"]
    api.call(f"POST /incidents/{incident_id}/assign", {"user_id": user.id})
    api.call(f"POST /incidents/{incident_id}/acknowledge")
    assert api.call(QUERY.format(incident_id, 1))["acknowledged_at"] is not None
    clock.advance(hours=1)
    tick()
    woken = api.incident(incident_id)
    assert (woken["status"], woken["acknowledged_at"], woken["assigned_to"]) == ("open", None, user.id)
    assert [assignment["user_id"] for assignment in woken["assignments"]] == [user.id]


@pytest.mark.parametrize(("first", "second"), [(1, 5), (5, 1)])
def test_a_new_end_replaces_the_old_one_and_is_on_the_record(
    api: Api, clock: Clock, tick: Tick, first: int, second: int
) -> None:
    incident_id = api.open()["id"]
    start = moment(api.call(QUERY.format(incident_id, first))["updated_at"])
    snoozed = api.call(QUERY.format(incident_id, second))
    assert moment(snoozed["snoozed_until"]) == start + timedelta(hours=second)
    newest, before, *_ = api.timeline(incident_id)
    assert (newest["event_type"], before["event_type"]) == ("snoozed", "snoozed")
    assert moment(newest["metadata"]["until"]) == start + timedelta(hours=second)
    clock.advance(hours=second, seconds=-1)
    tick()
    assert api.incident(incident_id)["status"] == "snoozed"
    clock.advance(seconds=1)
    tick()
    assert api.incident(incident_id)["status"] == "open"


@pytest.mark.parametrize(("move", "status"), [("acknowledge", "acknowledged"), ("resolve", "resolved")])
def test_a_snooze_that_somebody_ended_does_not_end_again(
    api: Api, clock: Clock, tick: Tick, move: str, status: str
) -> None:
    incident_id = api.open()["id"]
    api.call(QUERY.format(incident_id, 1))
    api.call(f"POST /incidents/{incident_id}/{move}")
    record = api.timeline(incident_id)
    clock.advance(hours=2)
    tick()
    assert api.incident(incident_id)["status"] == status
    assert api.timeline(incident_id) == record


def test_every_snooze_that_is_over_ends_however_many_there_are(api: Api, clock: Clock, services: Services) -> None:
    jobs = inline_jobs(services, limits=PlanLimits(batch=2))
    for _ in range(5):
        api.call(BODY.format(api.open()["id"]), {"minutes": 1})
    longer = api.open()["id"]
    api.call(BODY.format(longer), {"minutes": 2})
    clock.advance(minutes=1)
    jobs.plan()
    assert [i["id"] for i in api.call("GET /incidents?status=snoozed")] == [longer]
