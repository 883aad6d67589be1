"""The connector bodies of docs/elastic.md, as their senders render them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.support.api import Api
from tests.support.world import Person

PAGE = (Path(__file__).parents[3] / "docs" / "elastic.md").read_text()
BLOCK = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
VARIABLE = re.compile(r"\{\{ *([\w.]+) *\}\}")
ALERT = {
    "rule.id": "0a1b",
    "rule.name": "Payments 5xx",
    "rule.tags": "payments,prod",
    "alert.id": "host-1",
    "alert.actionGroup": "query matched",
    "alert.actionGroupName": "Critical",
    "context.serviceName": "payments",
    "context.reason": "97 of 100 requests failed",
}


@pytest.fixture
def api(client: TestClient, user: Person) -> Api:
    return Api(client, user.headers)


def block_of(section: str, number: int = 0) -> str:
    """A block of a section of the page."""
    blocks: list[str] = BLOCK.findall(PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0])
    return blocks[number]


def rendered(body: str, values: Mapping[str, str]) -> dict[str, Any]:
    """The body as Mustache renders it: a variable that has no value is nothing."""
    found: dict[str, Any] = json.loads(VARIABLE.sub(lambda variable: values.get(variable[1], ""), body))
    return found


def test_kibanas_bodies_open_an_incident_and_resolve_it(api: Api) -> None:
    firing, recovered = block_of("Kibana"), block_of("Kibana", 1)
    opened = api.alert(**rendered(firing, ALERT))
    incident = api.incident(opened["incident_id"])
    found = {name: incident[name] for name in ("title", "description", "severity", "service")}
    assert found == {
        "title": "Payments 5xx",
        "description": "97 of 100 requests failed",
        "severity": "critical",
        "service": "payments",
    }
    assert api.alert(**rendered(firing, ALERT | {"alert.id": "host-2"}))["status"] == "incident_created"
    over = api.alert(**rendered(recovered, ALERT))
    assert (over["status"], over["incident_id"]) == ("incident_resolved", opened["incident_id"])


def test_kibanas_test_button_opens_an_incident_without_a_key(api: Api) -> None:
    for _ in range(2):
        answer = api.alert(**json.loads(block_of("Kibana")))
        assert answer["status"] == "incident_created"
        incident = api.incident(answer["incident_id"])
        assert (incident["title"], incident["severity"]) == ("Alert from Elastic", "high")


def test_watchers_body_opens_an_incident_that_a_second_watch_resolves(api: Api) -> None:
    watch = json.loads(f"{{{block_of('Watcher')}}}")["actions"]["page"]["webhook"]["body"]
    opened = api.alert(**rendered(watch, {"ctx.watch_id": "payments", "ctx.payload.hits.total": "12"}))
    assert api.incident(opened["incident_id"])["description"] == "12 errors"
    assert api.alert(watch_id="payments", status="ok")["incident_id"] == opened["incident_id"]


def test_elastalerts_payload_has_one_incident_for_its_rule(api: Api) -> None:
    payload = dict(re.findall(r'^  (\w+): "?(.*?)"?$', block_of("ElastAlert 2").partition("payload:")[2], re.MULTILINE))
    texts = {"message": "97 %", "service.name": "payments"}
    opened, again = (api.alert(**rendered(json.dumps(payload), texts)) for _ in range(2))
    assert (again["status"], again["incident_id"]) == ("incident_updated", opened["incident_id"])
    incident = api.incident(opened["incident_id"])
    found = [incident[name] for name in ("title", "description", "severity", "service")]
    assert found == ["CPU is high", "97 %", "high", "payments"]
