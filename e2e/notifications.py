"""How people want to be reached, and what became of their messages."""

from uuid import uuid4

from e2e.api import Json
from e2e.expectations import eventually, has, holds, same
from e2e.world import BEYOND_32_BITS, World, check

GROUP = "Notification preferences"
MINE = "/v1/notification-preferences/me"
CHANNELS = {"email", "sms", "push", "webhook", "slack", "teams"}


@check(GROUP, "users read every channel, also those never set")
def read_mine(world: World) -> None:
    preferences = world.outsider.call(f"GET {MINE}")
    same({preference["channel"] for preference in preferences}, CHANNELS, "the channels")
    for preference in preferences:
        has(preference, id=None, user_id=world.outsider.id, enabled=True, is_enabled=True, address=None)


@check(GROUP, "users switch a channel by either spelling and say where it leads")
def write_mine(world: World) -> None:
    off = world.user.call(f"PUT {MINE}/sms", {"enabled": False, "address": "+15550102"})
    has(off, user_id=world.user.id, channel="sms", enabled=False, is_enabled=False, address="+15550102")
    holds(off in world.user.call(f"GET {MINE}"), "the change is in the list")
    on = world.user.call(f"PUT {MINE}/sms", {"is_enabled": True})
    has(on, id=off["id"], enabled=True, is_enabled=True, address="+15550102")


@check(GROUP, "an administrator reads a user's channels")
def read_others(world: World) -> None:
    mine = world.user.call(f"GET {MINE}")
    same(world.admin.call(f"GET /v1/notification-preferences/{world.user.id}"), mine, "what the administrator reads")


@check(GROUP, "an administrator sets a user's channel")
def write_others(world: World) -> None:
    preference = world.admin.call(f"PUT /v1/notification-preferences/{world.user.id}/push", {"enabled": False})
    has(preference, user_id=world.user.id, channel="push", enabled=False, is_enabled=False)
    holds(preference in world.user.call(f"GET {MINE}"), "the user reads it")


@check(GROUP, "an unknown channel, user or field and a false address are refused")
def invalid(world: World) -> None:
    unknown: Json = {"status": 404, "code": "not_found"}
    world.user.refused(f"PUT {MINE}/pigeon", {"enabled": True}, **unknown)
    world.admin.refused(f"GET /v1/notification-preferences/{BEYOND_32_BITS}", **unknown)
    world.admin.refused(f"GET /v1/notification-preferences/{BEYOND_32_BITS - 1}", **unknown)
    world.user.refused(f"PUT {MINE}/sms", {"loud": 1}, status=422, code="validation_error", pointer="/loud")
    world.user.refused(f"PUT {MINE}/email", {"address": "x"}, status=422, code="invalid_input", pointer="/address")


@check(GROUP, "ordinary users neither see nor set what others want")
def permission(world: World) -> None:
    others = f"/v1/notification-preferences/{world.outsider.id}"
    refused: Json = {"status": 403, "code": "permission_denied"}
    world.user.refused(f"GET {others}", **refused)
    world.user.refused(f"PUT {others}/email", {"enabled": False}, **refused)


@check(GROUP, "a browser learns the key that it subscribes with, where Web Push is set up")
def web_push_key(world: World) -> None:
    request = "GET /v1/notification-preferences/web-push-key"
    answer = world.user.answer(request, wants=(200, 404))
    if answer.ok:
        holds(len(answer.json()["public_key"]) == 87, "the key is a point of P-256 in base64url")
    world.nobody.refused(request, status=401, code="not_authenticated")


@check(GROUP, "what Twilio did not sign is not believed")
def unsigned_report(world: World) -> None:
    form = {"MessageSid": "SM0", "MessageStatus": "delivered"}
    request = f"POST /v1/notifications/callbacks/twilio?key={uuid4()}"
    answer = world.nobody.answer(request, data=form, wants=(403, 404))
    holds(answer.json()["code"] in ("permission_denied", "not_found"), "it is refused")


@check(GROUP, "users say which channel comes first, and when one is quiet")
def order(world: World) -> None:
    ordered = world.outsider.call(f"PUT {MINE}", {"channels": ["sms", "email"]})
    positions = {preference["channel"]: preference["position"] for preference in ordered}
    same(positions, {**dict.fromkeys(CHANNELS), "sms": 1, "email": 2}, "the order")
    hours = {"from": "22:00", "until": "07:00", "time_zone": "Europe/Berlin"}
    quiet = world.outsider.call(f"PUT {MINE}/sms", {"quiet_severities": ["low"], "quiet_hours": hours})
    has(quiet, quiet_severities=["low"], quiet_hours=hours, position=1)
    problem: Json = {"status": 422, "code": "validation_error"}
    world.outsider.refused(f"PUT {MINE}", {"channels": ["sms", "sms"]}, pointer="/channels", **problem)
    world.outsider.refused(f"PUT {MINE}/sms", {"quiet_hours": {**hours, "from": "25:00"}}, **problem)


@check(GROUP, "a code proves an address, and a wrong one does not")
def prove(world: World) -> None:
    somebody = world.new_user()
    sent = somebody.call(f"POST {MINE}/email/verify")
    holds("minutes" in sent["msg"], "how long the code is good for")
    for code in ("000000", "x"):
        pointed: Json = {"status": 422, "code": "wrong_code", "pointer": "/code"}
        somebody.refused(f"POST {MINE}/email/confirm", {"code": code}, **pointed)
    somebody.refused(f"POST {MINE}/teams/verify", status=409, code="channel_unusable")


@check(GROUP, "users try a channel with a message to themselves")
def try_out(world: World) -> None:
    somebody = world.new_user()
    sent = somebody.call(f"POST {MINE}/email/test")
    has(sent, kind="test", channel="email", user_id=somebody.id, recipient=somebody.email)

    def attempts() -> list[Json]:
        listed = somebody.pages("GET /v1/notifications?limit=500")
        return [attempt for message in listed if message["id"] == sent["id"] for attempt in message["attempts"]]

    eventually(attempts, "an attempt")
    somebody.refused(f"POST {MINE}/teams/test", status=409, code="channel_unusable")
