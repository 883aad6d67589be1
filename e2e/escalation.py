"""Escalation policies, and the steps that fire by themselves or by hand."""

from datetime import timedelta

from e2e.api import Api, Json
from e2e.expectations import eventually, has, holds, moment, same
from e2e.world import BEYOND_32_BITS, NOTIFY_CREATOR, World, check

GROUP = "Escalation"
POLICIES = "/v1/escalation/policies"
UNKNOWN: Json = {"status": 404, "code": "not_found"}
DENIED: Json = {"status": 403, "code": "permission_denied"}


def _policy(policy: Json) -> str:
    return f"{POLICIES}/{policy['id']}"


def _incident(incident: Json) -> str:
    return f"/v1/escalation/incidents/{incident['id']}"


def _events(api: Api, incident: Json) -> list[Json]:
    events: list[Json] = api.call(f"GET {_incident(incident)}/escalation-events")
    return events


@check(GROUP, "an administrator adds a policy, and is warned of a channel that is not set up")
def create(world: World) -> None:
    steps = [{"delay_minutes": 5, "actions": [{**NOTIFY_CREATOR, "channels": ["push"], "message": "Look."}]}]
    body = world.new_policy(steps=steps, description="For a check", repeat=2)
    policy = world.admin.call(f"POST {POLICIES}", body, wants=201)
    has(policy, **body, is_active=True)
    holds(any("push" in warning for warning in policy["warnings"]), "a warning names the channel")


@check(GROUP, "actions without steps are one step at once")
def shorthand(world: World) -> None:
    body = world.new_policy(actions=[NOTIFY_CREATOR])
    del body["steps"]
    policy = world.admin.call(f"POST {POLICIES}", body, wants=201)
    has(policy, steps=[{"delay_minutes": 0, "actions": [NOTIFY_CREATOR]}])


@check(GROUP, "an administrator lists the policies")
def list_policies(world: World) -> None:
    holds(world.hourly in world.admin.pages(f"GET {POLICIES}?limit=500"), "the policy is in the list")


@check(GROUP, "an administrator reads a policy")
def read(world: World) -> None:
    same(world.admin.call(f"GET {_policy(world.hourly)}"), world.hourly, "the policy")
    for policy_id in (BEYOND_32_BITS - 1, BEYOND_32_BITS):
        world.admin.refused(f"GET {POLICIES}/{policy_id}", **UNKNOWN)


@check(GROUP, "an administrator changes a policy: what is not named stays, and get, edit, put works")
def update(world: World) -> None:
    policy = world.policy()
    off = world.admin.call(f"PUT {_policy(policy)}", {"is_active": False})
    has(off, id=policy["id"], name=policy["name"], steps=policy["steps"], is_active=False)
    on = world.admin.call(f"PUT {_policy(policy)}", {**off, "is_active": True, "description": "Edited"})
    has(on, id=policy["id"], conditions=policy["conditions"], is_active=True, description="Edited")


@check(GROUP, "a deleted policy is answered once more, then gone, and its name free")
def delete(world: World) -> None:
    policy = world.policy()
    has(world.admin.call(f"DELETE {_policy(policy)}"), id=policy["id"], name=policy["name"])
    for method in ("GET", "DELETE"):
        world.admin.refused(f"{method} {_policy(policy)}", **UNKNOWN)
    holds(world.policy(name=policy["name"])["id"] != policy["id"], "the name has a new policy")


@check(GROUP, "a name is taken only once")
def duplicate(world: World) -> None:
    refused: Json = {"status": 409, "code": "policy_name_taken"}
    name = world.hourly["name"]
    world.admin.refused(f"POST {POLICIES}", world.new_policy(name=name), **refused)
    world.admin.refused(f"PUT {_policy(world.policy())}", {"name": name}, **refused)


@check(GROUP, "a policy that could not page as written is refused by the field")
def invalid(world: World) -> None:
    def steps(action: Json, *delays: float) -> Json:
        return {"steps": [{"delay_minutes": delay, "actions": [action]} for delay in delays or (0,)]}

    for fields, pointer in (
        ({"conditions": {"colour": "red"}}, "/conditions/colour"),
        ({"steps": [{"delay_minutes": 0, "actions": []}]}, "/steps/0/actions"),
        (steps(NOTIFY_CREATOR, 10, 5), "/steps/1/delay_minutes"),
        (steps({**NOTIFY_CREATOR, "target": "everyone"}), "/steps/0/actions/0/target"),
        (steps({"type": "shout"}), "/steps/0/actions/0/type"),
        ({"colour": "red"}, "/colour"),
    ):
        body = world.new_policy(**fields)
        world.admin.refused(f"POST {POLICIES}", body, status=422, code="validation_error", pointer=pointer)
    body = world.new_policy(**steps({"type": "assign", "user_id": BEYOND_32_BITS - 1}))
    pointer = "/steps/0/actions/0/user_id"
    world.admin.refused(f"POST {POLICIES}", body, status=422, code="invalid_input", pointer=pointer)


@check(GROUP, "ordinary users may not look after policies")
def permission(world: World) -> None:
    one = _policy(world.hourly)
    for request in (f"GET {POLICIES}", f"POST {POLICIES}", f"GET {one}", f"PUT {one}", f"DELETE {one}"):
        body = world.new_policy() if request.startswith("P") else None
        world.user.refused(request, body, **DENIED)


@check(GROUP, "an incident says when the next step is due, and acknowledging stops it")
def next_step(world: World) -> None:
    incident = world.incident(service=world.hourly["name"])
    due = moment(incident["next_escalation_at"]) - moment(incident["created_at"])
    same(due, timedelta(hours=1), "the time from the opening to the step")
    has(world.user.call(f"POST /v1/incidents/{incident['id']}/acknowledge"), next_escalation_at=None)


@check(GROUP, "escalating by hand fires the next step now")
def escalate(world: World) -> None:
    incident = world.incident(service=world.hourly["name"])
    has(world.user.call(f"POST {_incident(incident)}/escalate"), id=incident["id"], status="open")
    events = _events(world.user, incident)
    same(len(events), 1, "the number of events")
    has(events[0], incident_id=incident["id"], policy_id=world.hourly["id"], step=0, status="completed")
    same(world.user.call(f"GET /v1/incidents/{incident['id']}/escalation-events"), events, "the other route's events")
    types = [event["event_type"] for event in world.user.call(f"GET /v1/incidents/{incident['id']}/timeline")]
    holds("escalated_manually" in types, f"the timeline tells of it: {types}")


@check(GROUP, "escalating a resolved incident changes nothing")
def escalate_resolved(world: World) -> None:
    incident = world.incident(service=world.hourly["name"])
    resolved = world.user.call(f"POST /v1/incidents/{incident['id']}/resolve")
    same(world.user.call(f"POST /v1/incidents/{incident['id']}/escalate"), resolved, "the incident")
    same(_events(world.user, incident), [], "the events")


@check(GROUP, "escalating is for admins, the incident's creator and its assignees")
def responders(world: World) -> None:
    for request in (f"GET {_incident(world.paged)}/escalation-events", f"POST {_incident(world.paged)}/escalate"):
        world.outsider.refused(request, **DENIED)
    assigned = world.incident(assigned_to=world.outsider.id)
    for reader in (world.outsider, world.admin):  # an assignee and an administrator
        same(_events(reader, assigned), [], "the events")
    world.admin.refused(f"POST /v1/escalation/incidents/{BEYOND_32_BITS}/escalate", **UNKNOWN)


@check(GROUP, "the worker fires a step that is due, and pages its target")
def worker(world: World) -> None:
    [event] = eventually(lambda: _events(world.user, world.paged), "the step has fired")
    has(event, incident_id=world.paged["id"], step=0, status="completed")
    holds(moment(event["completed_at"]) >= moment(event["triggered_at"]), "completed_at follows triggered_at")
    for reader in (world.user, world.admin):
        pages = [n for n in reader.call("GET /v1/notifications?limit=500") if n["event_id"] == event["id"]]
        same([(n["recipient"], n["channel"]) for n in pages], [(world.user.email, "email")], "the pages")
        has(pages[0], user_id=world.user.id, incident_id=world.paged["id"])
    theirs = [n for n in world.outsider.call("GET /v1/notifications") if n["event_id"] is not None]
    same(theirs, [], "what somebody else sees of it")
