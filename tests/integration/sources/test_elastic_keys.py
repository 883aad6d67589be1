"""Which alerts share an incident, also across the upgrade that put the rule's name into their key."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from app.db.session import Database
from app.models import Incident
from tests.support.api import Api
from tests.support.world import Person

PAYMENTS = {"rule_name": "Payments 5xx", "alert_id": "query matched"}
DISK = {"rule_name": "Disk full", "alert_id": "query matched"}
OVER = {"status": "recovered"}


@pytest.fixture
def api(client: TestClient, user: Person) -> Api:
    return Api(client, user.headers)


def opened_before(api: Api, database: Database, body: dict[str, Any], metadata: dict[str, Any] | None = None) -> int:
    """An incident as the version before opened it: under the alert's id alone."""
    incident_id: int = api.alert(**body)["incident_id"]
    values = {"alert_id": body["alert_id"], **({} if metadata is None else {"metadata_": metadata})}
    with database.transaction() as session:
        session.execute(update(Incident).where(Incident.id == incident_id).values(values))
    return incident_id


def test_one_alert_id_of_two_rules_is_two_incidents(api: Api) -> None:
    payments, disk = (api.alert(**body)["incident_id"] for body in (PAYMENTS, DISK))
    assert payments != disk
    assert api.alert(**DISK, **OVER)["incident_id"] == disk
    assert api.incident(payments)["status"] == "open"


def test_a_rule_without_alert_ids_has_one_incident_that_its_recovery_resolves(api: Api) -> None:
    first, second = (api.alert(rule_id="r", message=message)["incident_id"] for message in ("97 %", "98 %"))
    assert first == second
    assert api.alert(rule_id="r", **OVER)["incident_id"] == first
    assert api.incident(first)["status"] == "resolved"


@pytest.mark.parametrize("metadata", [None, {}, {"alert_id": "query matched"}])
def test_a_recovery_resolves_what_was_open_before_the_upgrade(
    api: Api, database: Database, metadata: dict[str, Any] | None
) -> None:
    before = opened_before(api, database, PAYMENTS, metadata)
    answer = api.alert(**PAYMENTS, **OVER)
    assert (answer["status"], answer["incident_id"]) == ("incident_resolved", before)


@pytest.mark.parametrize("metadata", [None, {}])
def test_an_alert_repeats_what_was_open_before_the_upgrade(
    api: Api, database: Database, metadata: dict[str, Any] | None
) -> None:
    before = opened_before(api, database, PAYMENTS, metadata)
    answer = api.alert(**PAYMENTS)
    assert (answer["status"], answer["incident_id"]) == ("incident_updated", before)
    assert api.alert(**PAYMENTS, **OVER)["incident_id"] == before


def test_another_rules_alert_leaves_what_was_open_before_the_upgrade(api: Api, database: Database) -> None:
    before = opened_before(api, database, PAYMENTS)
    assert api.alert(**DISK, **OVER)["status"] == "no_matching_active_incident"
    disk = api.alert(**DISK)
    assert disk["status"] == "incident_created"
    assert api.incident(before)["status"] == "open"


def test_alerts_of_one_body_find_what_was_open_before_the_upgrade(api: Api, database: Database) -> None:
    before = opened_before(api, database, PAYMENTS)
    results = api.alert(alerts=[PAYMENTS, {**PAYMENTS, **OVER}, PAYMENTS, DISK])["results"]
    statuses = [result["status"] for result in results]
    assert statuses == ["incident_updated", "incident_resolved", "incident_created", "incident_created"]
    assert results[0]["incident_id"] == results[1]["incident_id"] == before != results[2]["incident_id"]


def test_what_was_resolved_before_the_upgrade_stays_resolved(api: Api, database: Database) -> None:
    before = opened_before(api, database, PAYMENTS)
    api.call(f"POST /incidents/{before}/resolve")
    assert api.alert(**PAYMENTS)["status"] == "incident_created"


def test_two_keys_of_one_incident_are_counted_together(api: Api, database: Database) -> None:
    before = opened_before(api, database, PAYMENTS)
    api.alert(alerts=[{**PAYMENTS, "message": "1"}, {"alert_id": PAYMENTS["alert_id"], "message": "2"}])
    incident = api.incident(before)
    assert (incident["alert_count"], incident["description"]) == (3, "2")
    repeated = [event for event in incident["timeline_events"] if event["event_type"] == "alert_repeated"]
    assert [event["metadata"]["alert_count"] for event in repeated] == [3, 2]


def test_an_alert_behind_a_recovery_under_the_other_key_opens_an_incident(api: Api, database: Database) -> None:
    before = opened_before(api, database, PAYMENTS)
    api.alert(alerts=[{**PAYMENTS, **OVER}, {"alert_id": PAYMENTS["alert_id"]}])
    statuses = {incident["id"]: incident["status"] for incident in api.call("GET /incidents")}
    assert statuses.pop(before) == "resolved"
    assert list(statuses.values()) == ["open"]
