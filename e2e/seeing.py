"""What can be seen of paging: who would be paged, who was, and why."""

from e2e.api import Json
from e2e.expectations import eventually, has, holds, same
from e2e.world import BEYOND_32_BITS, NOTIFY_CREATOR, World, check

GROUP = "Seeing"
PREVIEW = "/v1/escalation/preview"
DENIED: Json = {"status": 403, "code": "permission_denied"}
UNKNOWN: Json = {"status": 404, "code": "not_found"}


@check(GROUP, "an administrator previews a policy that is not saved")
def preview_draft(world: World) -> None:
    draft = world.new_policy(conditions={"severity": "low"}, steps=[{"delay_minutes": 0, "actions": [NOTIFY_CREATOR]}])
    incident = {"severity": "low", "service": draft["name"]}
    answer = world.admin.call(f"POST {PREVIEW}", {"incident": incident, "policy": draft})
    [found] = [policy for policy in answer["policies"] if policy["policy_id"] is None]
    has(found, name=draft["name"], matches=True, reaches_nobody=False)
    [action] = found["steps"][0]["actions"]
    same({person["user_id"] for person in action["people"]}, {world.admin.id}, "who would be paged")
    same(found["steps"][0]["due_at"], answer["at"], "when the first step is due")


@check(GROUP, "a preview of an incident says which policies match it, and why")
def preview_incident(world: World) -> None:
    answer = world.admin.call(f"POST {PREVIEW}", {"incident_id": world.paged["id"]})
    by_id = {policy["policy_id"]: policy for policy in answer["policies"]}
    has(by_id[world.hourly["id"]], matches=False, steps=[])
    holds(any(not c["holds"] for c in by_id[world.hourly["id"]]["conditions"]), "a condition does not hold")
    holds(any(policy["matches"] for policy in by_id.values()), "a policy matches")


@check(GROUP, "previews are for administrators, and of an incident that is there or made up")
def refused_preview(world: World) -> None:
    incident = {"severity": "low", "service": "none"}
    world.user.refused(f"POST {PREVIEW}", {"incident": incident}, **DENIED)
    world.admin.refused(f"POST {PREVIEW}", {"incident_id": BEYOND_32_BITS - 1}, status=422, code="invalid_input")
    for body in ({}, {"incident_id": 1, "incident": incident}, {"incident": {**incident, "severity": "urgent"}}):
        world.admin.refused(f"POST {PREVIEW}", body, status=422, code="validation_error")


@check(GROUP, "each delivery about an incident is listed, with its attempts")
def deliveries(world: World) -> None:
    listed = f"GET /v1/incidents/{world.paged['id']}/notifications"
    [page] = eventually(lambda: [p for p in world.user.call(listed) if p["attempts"]], "an attempt")
    has(page, user_id=world.user.id, incident_id=world.paged["id"], channel="email", kind="page")
    world.outsider.refused(listed, **DENIED)
    world.admin.refused(f"GET /v1/incidents/{BEYOND_32_BITS - 1}/notifications", **UNKNOWN)


@check(GROUP, "it is explained who was paged about an incident, who was not, and why")
def explanation(world: World) -> None:
    asked = f"GET /v1/incidents/{world.paged['id']}/why"
    answer = world.user.call(asked)
    has(answer, incident_id=world.paged["id"])
    [mine] = [person for person in answer["people"] if person["user_id"] == world.user.id]
    holds("email" in {reason["channel"] for reason in mine["reasons"]}, "the channel is named")
    holds(all(reason["sentence"] for reason in mine["reasons"]), "each reason is a sentence")
    [policy] = [policy for policy in answer["policies"] if policy["policy_id"] == world.hourly["id"]]
    has(policy, matches=False)
    world.outsider.refused(asked, **DENIED)
    world.admin.refused(f"GET /v1/incidents/{BEYOND_32_BITS - 1}/why", **UNKNOWN)
