"""Who changed what: the audit log."""

from e2e.api import Json
from e2e.expectations import has, holds, same
from e2e.world import PASSWORD, World, check

GROUP = "Audit log"
ALL = "/v1/audit"


@check(GROUP, "a change of rights is recorded with who made it")
def rights(world: World) -> None:
    account = world.admin.call("POST /v1/users", world.new_account(), wants=201)
    world.admin.call(f"PUT /v1/users/{account['id']}", {"role": "viewer"})
    newest, created = world.admin.call(f"GET {ALL}?object_type=user&object_id={account['id']}")
    has(newest, action="user.rights_changed", actor_id=world.admin.id)
    same(newest["changes"]["role"]["to"], "viewer", "the new role")
    has(created, action="user.created", actor_id=world.admin.id)
    holds(PASSWORD not in str(created), "the password is not recorded")


@check(GROUP, "a refused login is recorded")
def refused_login(world: World) -> None:
    account = world.admin.call("POST /v1/users", world.new_account(), wants=201)
    body = {"username": account["email"], "password": "a wrong password"}
    world.nobody.answer("POST /v1/auth/login/access-token", body, wants=(401,))
    [entry] = world.admin.call(f"GET {ALL}?object_type=user&object_id={account['id']}&action=login.refused")
    same(entry["actor_id"], None, "the actor of a refused login")


@check(GROUP, "the log is answered as JSON Lines too")
def lines(world: World) -> None:
    answer = world.admin.answer(f"GET {ALL}?format=jsonl&actor_id={world.admin.id}&action=user.created")
    holds(answer.text.startswith('{"id":'), "each line is an object")


@check(GROUP, "ordinary users do not read it, and a bad filter is refused")
def permission(world: World) -> None:
    refusal: Json = {"status": 403, "code": "permission_denied"}
    world.user.refused(f"GET {ALL}", **refusal)
    world.admin.refused(f"GET {ALL}?object_id=1", status=422, code="invalid_input", pointer="object_id")
