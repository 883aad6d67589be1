"""How messages are worded."""

from e2e.api import Json
from e2e.expectations import has, holds, same
from e2e.world import BEYOND_32_BITS, World, check

GROUP = "Notification templates"
ALL = "/v1/notification-templates"
MINE = f"{ALL}/teams/test"  # the message that is missed least while this run words it
ABOUT_INCIDENTS = {"page", "bundle", "acknowledged", "resolved", "status_updates"}
EVENTS = ABOUT_INCIDENTS | {"password_reset", "verification", "test", "notice"}


@check(GROUP, "an administrator reads the wording of every message")
def read(world: World) -> None:
    listed = world.admin.call(f"GET {ALL}")
    same(
        {template["event"] for template in listed if template["channel"] == "email"}, EVENTS, "the events of a channel"
    )
    holds(world.admin.call(f"GET {ALL}/email/page") in listed, "a single one is as in the list")


@check(GROUP, "a wording is set, tried and taken back")
def write(world: World) -> None:
    before = world.admin.call(f"GET {MINE}")
    body = {"subject": "Test of {{ channel }}", "body": "All is well with {{ channel | upper }}."}
    has(world.admin.call(f"PUT {MINE}", body), **body, is_default=False, updated_by=world.admin.id)
    tried = world.admin.call(f"POST {MINE}/preview", {})
    has(tried, subject="Test of teams", body="All is well with TEAMS.", html=None, error=None)
    has(world.admin.call(f"DELETE {MINE}"), is_default=True, updated_by=None)
    if not before["is_default"]:
        world.admin.call(f"PUT {MINE}", {name: before[name] for name in ("subject", "body")})


@check(GROUP, "a page's wording is tried on a real incident")
def preview(world: World) -> None:
    page = {"subject": "{{ incident.id }}", "body": "{{ incident.title }}", "incident_id": world.untouched["id"]}
    tried = world.admin.call(f"POST {ALL}/sms/page/preview", page)
    has(tried, subject=str(world.untouched["id"]), body=world.untouched["title"], error=None)


@check(GROUP, "a template that could run long or see too much is refused")
def refused(world: World) -> None:
    for source in ("{{ incident.__class__ }}", "{% include 'x' %}", "{{ range(9) }}", "{% if %}"):
        fields: Json = {"status": 422, "code": "invalid_input", "pointer": "/body"}
        world.admin.refused(f"PUT {MINE}", {"body": source}, **fields)
    unknown: Json = {"status": 404, "code": "not_found"}
    world.admin.refused(f"GET {ALL}/pigeon/page", **unknown)
    lost = {"incident_id": BEYOND_32_BITS - 1}
    world.admin.refused(f"POST {MINE}/preview", lost, status=422, code="invalid_input", pointer="/incident_id")


@check(GROUP, "ordinary users word nothing")
def permission(world: World) -> None:
    refusal: Json = {"status": 403, "code": "permission_denied"}
    for request in (f"GET {ALL}", f"GET {MINE}", f"DELETE {MINE}"):
        world.user.refused(request, **refusal)
    world.user.refused(f"PUT {MINE}", {"subject": "x"}, **refusal)
    world.user.refused(f"POST {MINE}/preview", {}, **refusal)
