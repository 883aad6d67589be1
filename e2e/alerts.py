"""The Elastic webhook."""

from e2e.api import Json
from e2e.expectations import has, holds, same
from e2e.world import World, check

GROUP = "Webhook"


def _alert(key: str, state: str, **fields: object) -> Json:
    """An alert as a Kibana connector's template commonly has it."""
    alert = {"alert_name": "High latency", "message": "p95 1840 ms", "severity": "low", "alert_id": key}
    return {**alert, "service": {"name": key, "environment": "production"}, "state": {"state": state}, **fields}


@check(GROUP, "an alert opens an incident, its repetition updates it, its recovery resolves it")
def lifecycle(world: World) -> None:
    key = world.new_name()
    opened = world.alert(_alert(key, "active"))
    has(opened, status="incident_created")
    has(world.alert(_alert(key, "active")), status="incident_updated", incident_id=opened["incident_id"])
    [incident] = world.user.call(f"GET /v1/incidents?service={key}")
    has(incident, id=opened["incident_id"], status="open", severity="low", source="elastic", created_by=None)
    has(world.alert(_alert(key, "recovered")), status="incident_resolved", incident_id=opened["incident_id"])
    has(world.user.call(f"GET /v1/incidents/{opened['incident_id']}"), status="resolved")
    has(world.alert(_alert(key, "recovered")), status="no_matching_active_incident", incident_id=None)


@check(GROUP, "an alert that comes again after its resolution is a new incident, and the old one cannot reopen")
def again(world: World) -> None:
    key = world.new_name()
    first = world.alert(_alert(key, "active"))["incident_id"]
    world.user.call(f"POST /v1/incidents/{first}/resolve")
    answer = world.alert(_alert(key, "active"))
    has(answer, status="incident_created")
    second = answer["incident_id"]
    refusal = world.user.refused(f"POST /v1/incidents/{first}/reopen", status=409, code="alert_open_elsewhere")
    holds(str(second) in refusal["detail"], "the refusal names the other incident")


@check(GROUP, "several alerts in one body are all applied")
def several(world: World) -> None:
    keys = [world.new_name(), world.new_name()]
    answer = world.alert({"alerts": [_alert(key, "active") for key in keys]})
    same([result["status"] for result in answer["results"]], ["incident_created"] * 2, "the results")
    has(answer, status="incident_created", incident_id=answer["results"][0]["incident_id"])


@check(GROUP, "fields that nobody knows are kept")
def unknown_fields(world: World) -> None:
    answer = world.alert(_alert(world.new_name(), "active", runbook={"page": 7}))
    metadata = world.user.call(f"GET /v1/incidents/{answer['incident_id']}")["metadata"]
    same(metadata.get("runbook"), {"page": 7}, "the unknown field in metadata")


@check(GROUP, "a body that is not JSON or not an object opens an incident that shows it")
def unreadable(world: World) -> None:
    headers = world.webhook_headers()
    as_json = {**headers, "Content-Type": "application/json"}
    request = "POST /v1/alerts/elastic"
    first = world.nobody.call(request, wants=201, data='{"value": ,}', headers=as_json)
    again = world.nobody.call(request, ["alert"], wants=201, headers=headers)
    same(again["incident_id"], first["incident_id"], "the incident of unreadable alerts")
    incident = world.user.call(f"GET /v1/incidents/{first['incident_id']}")
    has(incident, title="Unreadable alert from elastic", status="open")
    world.user.call(f"POST /v1/incidents/{first['incident_id']}/resolve")


@check(GROUP, "one alert id of two rules is two incidents")
def two_rules(world: World) -> None:
    alert = {"alert_id": "query matched", "severity": "low"}
    rules = [world.new_name(), world.new_name()]
    opened = [world.alert({**alert, "rule_name": rule})["incident_id"] for rule in rules]
    same(len(set(opened)), 2, "the number of incidents")
    recovered = world.alert({**alert, "rule_name": rules[1], "actionGroup": "recovered", "status": "回復済み"})
    has(recovered, status="incident_resolved", incident_id=opened[1])
    has(world.user.call(f"GET /v1/incidents/{opened[0]}"), status="open")


@check(GROUP, "the webhook asks for its secret where one is set")
def secret(world: World) -> None:
    recovery = _alert(world.new_name(), "recovered")
    request = "POST /v1/alerts/elastic"
    if not world.webhook_token:
        has(world.nobody.call(request, recovery, wants=201), status="no_matching_active_incident")
        return
    for headers in ({}, {"X-Webhook-Token": "wrong"}, {"Authorization": "Bearer wrong"}):
        world.nobody.refused(request, recovery, status=401, code="not_authenticated", headers=headers)
    for options in (
        {"headers": {"Authorization": f"Bearer {world.webhook_token}"}},
        {"auth": ("elastic", world.webhook_token)},
    ):
        has(world.nobody.call(request, recovery, wants=201, **options), status="no_matching_active_incident")
