"""The lifecycle of incidents, and who works on them."""

from datetime import timedelta

from e2e.api import Json
from e2e.expectations import has, holds, moment, same
from e2e.world import BEYOND_32_BITS, RUN, World, check

GROUP = "Incidents"
INVALID: Json = {"status": 422, "code": "validation_error"}


@check(GROUP, "an incident is opened by whoever reports it, with the rest being the server's")
def create(world: World) -> None:
    sent = {"title": "Disk full", "description": "97 %", "severity": "low", "service": RUN, "metadata": {"disk": "a"}}
    incident = world.user.call("POST /v1/incidents", {**sent, "status": "resolved", "id": 1}, wants=201)
    has(incident, **sent, status="open", created_by=world.user.id, assigned_to=None, source="api", alert_id=None)
    has(incident, acknowledged_at=None, resolved_at=None, snoozed_until=None)
    same(moment(incident["updated_at"]), moment(incident["created_at"]), "updated_at")


@check(GROUP, "incidents are listed newest first, filtered, searched, and page after page")
def list_incidents(world: World) -> None:
    service = world.new_name()
    older, newer = (world.incident(service=service, title=f"Number {word}")["id"] for word in ("one", "two"))
    world.user.call(f"POST /v1/incidents/{older}/acknowledge")
    by_service = f"GET /v1/incidents?service={service}"
    same([i["id"] for i in world.user.pages(f"{by_service}&limit=1")], [newer, older], "the ids on pages of one")
    for also, wanted in {
        "&status=open&severity=low": [newer],
        f"&status=open&status=acknowledged&source=api&created_by={world.user.id}": [newer, older],
        "&q=ONE": [older],
        "&created_after=2001-01-01T00:00:00%2B02:00&skip=1": [older],
        f"&created_by={world.outsider.id}": [],
    }.items():
        same([i["id"] for i in world.user.call(by_service + also)], wanted, f"the ids with {also}")


@check(GROUP, "an incident is read with its assignments, comments and timeline")
def read(world: World) -> None:
    answer = world.outsider.call(f"GET /v1/incidents/{world.untouched['id']}")
    has(answer, **world.untouched, assignments=[], comments=[])
    by_people = [event["event_type"] for event in answer["timeline_events"] if event["user_id"] is not None]
    same(by_people, ["created"], "what people did")


@check(GROUP, "PUT and PATCH change what is named, and get, edit, put works")
def update(world: World) -> None:
    incident = world.incident(description="As it was")
    address = f"/v1/incidents/{incident['id']}"
    patched = world.user.call(f"PATCH {address}", {"title": "Patched"})
    has(patched, title="Patched", description="As it was", status="open")
    whole = world.user.call(f"GET {address}")
    changed = world.user.call(f"PUT {address}", {**whole, "severity": "medium", "status": "acknowledged", "id": 1})
    has(changed, id=incident["id"], title="Patched", severity="medium", status="acknowledged", source="api")
    holds(moment(changed["acknowledged_at"]) >= moment(incident["created_at"]), "acknowledged_at is set")


@check(GROUP, "acknowledging says when, and again changes nothing")
def acknowledge(world: World) -> None:
    address = f"/v1/incidents/{world.incident()['id']}"
    incident = world.user.call(f"POST {address}/acknowledge")
    has(incident, status="acknowledged", resolved_at=None)
    holds(moment(incident["acknowledged_at"]), "acknowledged_at is set")
    same(world.user.call(f"POST {address}/acknowledge"), incident, "the incident after the second time")


@check(GROUP, "resolving says when, and again changes nothing")
def resolve(world: World) -> None:
    address = f"/v1/incidents/{world.incident()['id']}"
    incident = world.user.call(f"POST {address}/resolve")
    has(incident, status="resolved", next_escalation_at=None)
    holds(moment(incident["resolved_at"]), "resolved_at is set")
    same(world.user.call(f"POST {address}/resolve"), incident, "the incident after the second time")


@check(GROUP, "a resolved incident only reopens, and the refusal says so")
def bad_transition(world: World) -> None:
    address = f"/v1/incidents/{world.incident()['id']}"
    world.user.call(f"POST {address}/resolve")
    for request in ("acknowledge", "snooze?hours=1"):
        refusal = world.user.refused(f"POST {address}/{request}", status=409, code="invalid_transition")
        holds("Reopen it first." in refusal["detail"], "the refusal names what is possible")
    body = {"status": "acknowledged"}
    world.user.refused(f"PUT {address}", body, status=409, code="invalid_transition")
    reopened = world.user.call(f"POST {address}/reopen")
    has(reopened, status="open", resolved_at=None, acknowledged_at=None)
    same(world.user.call(f"POST {address}/reopen"), reopened, "the incident after the second time")


@check(GROUP, "a snooze is given in hours, minutes or until a time")
def snooze(world: World) -> None:
    address = f"/v1/incidents/{world.incident()['id']}"
    for request, body, length in (
        ("snooze?hours=2", None, timedelta(hours=2)),
        ("snooze", {"minutes": 30}, timedelta(minutes=30)),
    ):
        incident = world.user.call(f"POST {address}/{request}", body)
        has(incident, status="snoozed")
        same(moment(incident["snoozed_until"]) - moment(incident["updated_at"]), length, f"the length of {body}")
    until = moment(incident["snoozed_until"]) + timedelta(days=1)
    again = world.user.call(f"POST {address}/snooze", {"until": until.isoformat()})
    same(moment(again["snoozed_until"]), until, "snoozed_until")


@check(GROUP, "a snooze of no length, over 30 days or of two lengths is refused")
def invalid_snooze(world: World) -> None:
    address = f"/v1/incidents/{world.untouched['id']}"
    for request, body in (("snooze", {"hours": 0}), ("snooze", {"minutes": 5, "hours": 1}), ("snooze?hours=721", None)):
        world.user.refused(f"POST {address}/{request}", body, **INVALID)
    world.user.refused(f"POST {address}/snooze", {"until": "2001-01-01T00:00:00Z"}, status=422, code="invalid_input")
    has(world.user.call(f"GET {address}"), status="open", snoozed_until=None)


@check(GROUP, "the first assignee owns the incident, the same again is one assignment, and it ends")
def assign(world: World) -> None:
    incident_id = world.incident()["id"]
    address = f"/v1/incidents/{incident_id}"
    body = {"user_id": world.outsider.id, "incident_id": incident_id}
    assignment = world.user.call(f"POST {address}/assign", body)
    has(assignment, incident_id=incident_id, user_id=world.outsider.id, role="responder")
    same(world.user.call(f"POST {address}/assign", body), assignment, "the assignment after the second time")
    world.user.call(f"POST {address}/assign", {"user_id": world.user.id, "role": "lead"})
    incident = world.user.call(f"GET {address}")
    has(incident, assigned_to=world.outsider.id)
    roles = [(one["user_id"], one["role"]) for one in incident["assignments"]]
    same(roles, [(world.outsider.id, "responder"), (world.user.id, "lead")], "the assignments")
    has(world.user.call(f"DELETE {address}/assign/{world.outsider.id}"), user_id=world.outsider.id)
    world.user.refused(f"DELETE {address}/assign/{world.outsider.id}", status=404, code="not_found")
    has(world.user.call(f"GET {address}"), assigned_to=world.user.id)


@check(GROUP, "whom nobody knows cannot be assigned")
def assign_nobody(world: World) -> None:
    address = f"/v1/incidents/{world.untouched['id']}"
    world.user.refused(f"POST {address}/assign", {"user_id": BEYOND_32_BITS}, pointer="/user_id", **INVALID)
    unknown: Json = {"status": 422, "code": "invalid_input"}
    world.user.refused(f"POST {address}/assign", {"user_id": BEYOND_32_BITS - 1}, pointer="/user_id", **unknown)
    body = {"user_id": world.user.id, "incident_id": BEYOND_32_BITS - 1}
    world.user.refused(f"POST {address}/assign", body, pointer="/incident_id", **unknown)


@check(GROUP, "comments are kept with their author")
def comment(world: World) -> None:
    address = f"/v1/incidents/{world.incident()['id']}/comments"
    first = world.user.call(f"POST {address}", {"content": "Failover is running."})
    has(first, content="Failover is running.", user_id=world.user.id)
    second = world.outsider.call(f"POST {address}", {"content": "Ünïcödé 🚨"})
    same(world.user.call(f"GET {address}"), [first, second], "the comments")
    world.user.refused(f"POST {address}", {"content": " "}, pointer="/content", **INVALID)


@check(GROUP, "the timeline tells every change and by whom, newest first")
def timeline(world: World) -> None:
    address = f"/v1/incidents/{world.incident()['id']}"
    world.outsider.call(f"POST {address}/acknowledge")
    world.user.call(f"POST {address}/comments", {"content": "On it."})
    world.user.call(f"POST {address}/resolve")
    events = world.user.call(f"GET {address}/timeline")
    told = [(event["event_type"], event["user_id"]) for event in events if event["user_id"] is not None]
    me, other = world.user.id, world.outsider.id
    taken = [("acknowledged", other), ("assigned", other)]
    same(told, [("resolved", me), ("commented", me), *taken, ("created", me)], "what people did")
    has(events[0]["metadata"], **{"from": "acknowledged", "to": "resolved"})


@check(GROUP, "what does not validate is refused by its name")
def invalid(world: World) -> None:
    body = {"title": "", "severity": "urgent", "urgency": 1}
    problem = world.user.refused("POST /v1/incidents", body, **INVALID)
    named = {error["pointer"] for error in problem["errors"]}
    same(named, {"/title", "/severity", "/service", "/urgency"}, "what is named")
    world.user.refused("GET /v1/incidents?limit=501", pointer="limit", **INVALID)


@check(GROUP, "a body of the wrong type or size is refused")
def unreadable(world: World) -> None:
    plain: Json = {"data": "title=t", "headers": {"Content-Type": "text/plain"}}
    world.user.refused("POST /v1/incidents", status=415, code="unsupported_media_type", **plain)
    huge = {"title": "t", "severity": "low", "service": "s", "description": "x" * 2**21}
    world.user.refused("POST /v1/incidents", huge, status=413, code="body_too_large")


@check(GROUP, "an incident that cannot exist is not found")
def unknown(world: World) -> None:
    for incident_id in (BEYOND_32_BITS - 1, BEYOND_32_BITS, "none"):
        world.user.refused(f"GET /v1/incidents/{incident_id}", status=404, code="not_found")


@check(GROUP, "an Idempotency-Key answers the first result again, and refuses another body")
def idempotency(world: World) -> None:
    service = world.new_name()
    body = {"title": "Once", "severity": "low", "service": service}
    options: Json = {"headers": {"Idempotency-Key": service}}
    first = world.user.call("POST /v1/incidents", body, wants=201, **options)
    again = world.user.call("POST /v1/incidents", body, wants=201, **options)
    same(again, first, "the second answer")
    other = {**body, "title": "Twice"}
    world.user.refused("POST /v1/incidents", other, status=409, code="idempotency_key_reused", **options)
    listed = world.user.call(f"GET /v1/incidents?service={service}")
    same([incident["id"] for incident in listed], [first["id"]], "the incidents")


@check(GROUP, "an administrator deletes an incident with its record, and the audit log keeps that it was")
def delete(world: World) -> None:
    address = f"/v1/incidents/{world.incident(title='To be deleted')['id']}"
    world.user.refused(f"DELETE {address}", status=403, code="permission_denied")
    gone = world.admin.call(f"DELETE {address}")
    has(gone, title="To be deleted")
    world.user.refused(f"GET {address}", status=404, code="not_found")
    [entry] = world.admin.call(f"GET /v1/audit?object_type=incident&object_id={gone['id']}")
    has(entry, action="incident.deleted", actor_id=world.admin.id)
