"""Accounts: one's own, and for administrators everybody's."""

from e2e.api import Json
from e2e.expectations import has, holds, lacks, same
from e2e.world import BEYOND_32_BITS, PASSWORD, RUN, World, check

GROUP = "User management"
NEW_PASSWORD = f"{PASSWORD}-2"
UNKNOWN: Json = {"status": 404, "code": "not_found"}
NOTHING_TO_PROVE: Json = {"status": 409, "code": "conflict"}
REVOKED: Json = {"status": 401, "code": "not_authenticated"}


@check(GROUP, "users read themselves")
def read_me(world: World) -> None:
    user = world.user.call("GET /v1/users/me")
    has(user, id=world.user.id, email=world.user.email, is_superuser=False)
    lacks(user, "password", "hash")


@check(GROUP, "users change themselves: get, edit, put works, and grants no rights")
def update_me(world: World) -> None:
    somebody = world.new_user()  # not the user, whose name other checks compare meanwhile
    mine = somebody.call("GET /v1/users/me")
    changed = somebody.call("PUT /v1/users/me", {**mine, "full_name": "Ada King", "is_superuser": True})
    has(changed, id=mine["id"], full_name="Ada King", is_superuser=False, created_at=mine["created_at"])
    same(somebody.call("GET /v1/users/me"), changed, "what is read afterwards")


@check(GROUP, "an administrator lists every user, page after page")
def list_users(world: World) -> None:
    same(len(world.admin.call("GET /v1/users?limit=2")), 2, "the length of a page of two")
    ids = [user["id"] for user in world.admin.pages("GET /v1/users?limit=500")]
    holds({world.admin.id, world.user.id, world.outsider.id} <= set(ids), "everybody is in the list")
    same(len(ids), len(set(ids)), "how often anybody is listed")
    world.admin.refused("GET /v1/users?limit=501", status=422, code="validation_error", pointer="limit")


@check(GROUP, "responders find each other by name, and read no address")
def directory(world: World) -> None:
    somebody, name = world.new_user(), f"Hedy {RUN}"
    somebody.call("PUT /v1/users/me", {"full_name": name})
    found = world.outsider.call(f"GET /v1/users/directory?q=Hedy+{RUN}")
    same(found, [{"id": somebody.id, "name": name}], "who is found")


@check(GROUP, "an address is proved by its code only")
def address(world: World) -> None:
    user = world.new_user()
    user.refused("POST /v1/users/me/email/confirm", {"code": "no code"}, status=422, code="wrong_code")
    if user.call("GET /v1/users/me")["is_address_proved"]:  # an administrator made the account
        user.refused("POST /v1/users/me/email/verify", **NOTHING_TO_PROVE)
    else:
        user.call("POST /v1/users/me/email/verify")


@check(GROUP, "an administrator makes an account that can log in")
def create(world: World) -> None:
    body = world.new_account(full_name="Grace Hopper", phone_number="+15550101")
    user = world.admin.call("POST /v1/users", body, wants=201)
    has(user, email=body["email"], full_name="Grace Hopper", phone_number="+15550101", is_active=True)
    lacks(user, "password", "hash")
    has(world.logged_in(user).call("GET /v1/users/me"), **user)


@check(GROUP, "an administrator reads an account")
def read(world: World) -> None:
    has(world.admin.call(f"GET /v1/users/{world.user.id}"), id=world.user.id, email=world.user.email)


@check(GROUP, "an administrator changes an account and its rights")
def update(world: World) -> None:
    user = world.new_user()
    changed = world.admin.call(f"PUT /v1/users/{user.id}", {"full_name": "Renamed", "is_superuser": True})
    has(changed, id=user.id, email=user.email, full_name="Renamed", is_superuser=True, is_active=True)
    has(user.call(f"GET /v1/users/{world.user.id}"), id=world.user.id)


@check(GROUP, "a deleted account is gone, its tokens end, its address is free")
def delete(world: World) -> None:
    user = world.new_user()
    has(world.admin.call(f"DELETE /v1/users/{user.id}"), id=user.id)
    user.refused("GET /v1/users/me", **REVOKED)
    for method in ("GET", "DELETE"):
        world.admin.refused(f"{method} /v1/users/{user.id}", **UNKNOWN)
    successor = world.admin.call("POST /v1/users", world.new_account(email=user.email), wants=201)
    holds(successor["id"] != user.id, "the address has a new account")


@check(GROUP, "a new password ends the tokens at once, and so does a deactivation, which also shuts out")
def ended_tokens(world: World) -> None:
    user = world.new_user()
    account = user.call("PUT /v1/users/me", {"password": NEW_PASSWORD, "current_password": PASSWORD})
    user.refused("GET /v1/users/me", **REVOKED)
    again = world.logged_in(account, NEW_PASSWORD)
    has(world.admin.call(f"PUT /v1/users/{user.id}", {"is_active": False}), is_active=False)
    again.refused("GET /v1/users/me", **REVOKED)
    login = {"username": user.email, "password": NEW_PASSWORD}
    world.nobody.refused("POST /v1/auth/login/access-token", login, status=401, code="wrong_credentials")


@check(GROUP, "an address is taken only once")
def duplicate(world: World) -> None:
    body = world.new_account(email=world.user.email)
    world.admin.refused("POST /v1/users", body, status=409, code="email_taken")
    change = {"email": world.user.email, "current_password": PASSWORD}
    world.outsider.refused("PUT /v1/users/me", change, status=409, code="email_taken")


@check(GROUP, "ordinary users may not look after accounts")
def permission(world: World) -> None:
    someone = f"/v1/users/{world.outsider.id}"
    for request in ("GET /v1/users", "POST /v1/users", f"GET {someone}", f"PUT {someone}", f"DELETE {someone}"):
        body = world.new_account() if request.startswith("P") else None
        world.user.refused(request, body, status=403, code="permission_denied")


@check(GROUP, "an account that cannot exist is not found")
def unknown(world: World) -> None:
    for user_id in (BEYOND_32_BITS - 1, BEYOND_32_BITS):
        world.admin.refused(f"GET /v1/users/{user_id}", **UNKNOWN)


@check(GROUP, "an unknown field is refused by its name")
def unknown_field(world: World) -> None:
    invalid: Json = {"status": 422, "code": "validation_error", "pointer": "/nickname"}
    world.user.refused("PUT /v1/users/me", {"nickname": "Ada"}, **invalid)
    world.admin.refused("POST /v1/users", world.new_account(nickname="Ada"), **invalid)
