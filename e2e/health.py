"""The service itself: whether it works, its documentation, what holds on every route."""

import re

from e2e.expectations import has, holds, same
from e2e.world import RUN, World, check

GROUP = "Health"
ELSEWHERE = re.compile(r"""(?:src|href)=["']?(?:https?:)?//""")


@check(GROUP, "the root names the service, its version and where to go")
def root(world: World) -> None:
    answer = world.nobody.call("GET /")
    holds(answer["name"] and answer["version"], "name and version are not empty")
    for link in answer["links"].values():
        holds(link.startswith("/"), f"{link} is a path of the service itself")


@check(GROUP, "health tells of the database and the worker")
def health(world: World) -> None:
    answer = world.nobody.call("GET /health")
    has(answer, status="ok", database="ok")
    holds(answer["worker"]["status"] in ("starting", "ok"), f"the worker works: {answer['worker']}")


@check(GROUP, "a process says that it is alive, and which part of the installation is not well")
def readiness(world: World) -> None:
    same(world.nobody.call("GET /health/live"), {"status": "ok"}, "the liveness")
    answer = world.nobody.call("GET /health/ready")
    holds(answer["status"] in ("ok", "degraded"), f"it should get requests: {answer}")
    for part in ("process", "database", "schema"):
        same(answer["checks"][part]["status"], "ok", f"the check {part}")


@check(GROUP, "the metrics are open, or closed by their token; a wrong one never opens them")
def metrics(world: World) -> None:
    answer = world.nobody.answer("GET /metrics", wants=(200, 401, 403))
    if answer.status_code == 200:
        holds("ims_database_up 1" in answer.text, "the database is up in the metrics")
        return
    world.nobody.answer("GET /metrics", headers={"Authorization": f"Bearer {RUN}"}, wants=(401, 403))


@check(GROUP, "administrators see the workers and how their providers are")
def workers(world: World) -> None:
    holds(any(worker["is_alive"] for worker in world.admin.call("GET /v1/workers")), "a worker is alive")
    world.user.refused("GET /v1/workers", status=403, code="permission_denied")


@check(GROUP, "administrators see each channel and close its circuit breakers")
def channels(world: World) -> None:
    found = {channel["name"]: channel for channel in world.admin.call("GET /v1/channels")}
    holds({"email", "sms", "webhook"} <= found.keys(), "every channel is listed")
    reset = world.admin.call("POST /v1/channels/apprise/reset")
    has(reset, name="apprise", state="closed")
    world.admin.refused("POST /v1/channels/pigeon/reset", status=404, code="not_found")
    world.user.refused("GET /v1/channels", status=403, code="permission_denied")
    world.user.refused("POST /v1/channels/apprise/reset", status=403, code="permission_denied")


@check(GROUP, "administrators set the level of the log, and reset it")
def log_level(world: World) -> None:
    before = world.admin.call("GET /v1/log-level")
    level = before["level"]
    has(world.admin.call("PUT /v1/log-level", {"level": level, "minutes": 1}), level=level, set_by=world.admin.id)
    has(world.admin.call("DELETE /v1/log-level"), level=before["configured_level"], until=None, set_at=None)
    if before["set_at"] is not None:  # somebody needs it
        world.admin.call("PUT /v1/log-level", {"level": level, "minutes": None if before["until"] is None else 60})
    world.user.refused("PUT /v1/log-level", {"level": level}, status=403, code="permission_denied")
    world.admin.refused("PUT /v1/log-level", {"level": "loud"}, status=422, code="validation_error", pointer="/level")


@check(GROUP, "the documentation loads nothing from elsewhere")
def documentation(world: World) -> None:
    for page in ("/docs", "/redoc"):
        answer = world.nobody.answer(f"GET {page}")
        holds("text/html" in answer.headers["Content-Type"], f"{page} is a page")
        holds(not ELSEWHERE.search(answer.text), f"{page} names no other server")
        assets = re.findall(r"""(?:src|href)=["']?(/[^"'> ]+)""", answer.text)
        holds(assets, f"{page} has assets")
        for asset in assets:
            world.nobody.answer(f"GET {asset}")


@check(GROUP, "an address with nothing under it is a problem, not a page")
def unknown_address(world: World) -> None:
    world.nobody.refused("GET /v1/nothing-here", status=404, code="not_found")
    world.nobody.refused("DELETE /v1/incidents", status=405, code="method_not_allowed")


@check(GROUP, "a trailing slash changes nothing and is not redirected")
def trailing_slash(world: World) -> None:
    body = {"title": "Slash", "severity": "low", "service": RUN}
    incident = world.user.call("POST /v1/incidents/", body, wants=201)
    path = f"/v1/incidents/{incident['id']}"
    same(world.user.call(f"GET {path}/"), world.user.call(f"GET {path}"), "the incident with the slash")


@check(GROUP, "a client's request id comes back, and answers tell browsers to trust nothing")
def headers(world: World) -> None:
    answer = world.nobody.answer("GET /", headers={"X-Request-ID": "e2e.request-1"})
    same(answer.headers["X-Request-ID"], "e2e.request-1", "the request id")
    same(answer.headers["X-Content-Type-Options"], "nosniff", "X-Content-Type-Options")
    holds("default-src 'none'" in answer.headers["Content-Security-Policy"], "the policy is strict")
