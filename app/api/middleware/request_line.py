"""What is said of a request, in its line of the log and in its span: never a query, a body, or the secret of a link."""

import re
from http import HTTPStatus
from typing import Any

from starlette.types import Scope

from app.api.http_metrics import UNMATCHED
from app.api.route_table import template_of
from app.core import tracing
from app.core.origin import Origin
from app.core.spans import Span

# What follows may be the secret of a link, or somebody's address; in any spelling, as a mistyped link may still work.
SECRET = re.compile(r"((?:^|/)(?:p|reset-password|password-recovery)/).+", re.IGNORECASE | re.DOTALL)
ACTION = re.compile(r"/(?:acknowledge|snooze|escalate|resolve|comment)$")
# In an address that leads nowhere, whatever looks like a token or like somebody's address.
SUSPECT = re.compile(r"[^/]*@[^/]*|[\w.~%-]{32,}", re.ASCII)


def fields(scope: Scope, by: Origin, status: int, seconds: float, *, names_sender: bool) -> dict[str, Any]:
    """The fields of a request's line by their names, with all that its context has."""
    said: dict[str, Any] = {} if by.api_key_id is None else {"api_key_id": by.api_key_id}
    said["method"] = scope["method"]
    said["ms"] = round(seconds * 1000, 1)
    said["path"] = printable(scope)
    said["request_id"] = by.request_id
    said["route"] = template_of(scope) or UNMATCHED
    if names_sender:
        said["sender"] = by.sender
    said["status"] = int(status)
    said["trace_id"] = tracing.id_of(by.traceparent)
    if by.actor_id is not None:
        said["user_id"] = by.actor_id
    return said


def tell(span: Span, scope: Scope, by: Origin, status: int, *, names_sender: bool) -> None:
    """Name a request's span as OpenTelemetry's conventions for HTTP servers do, and say what is known of it."""
    route = template_of(scope) or UNMATCHED
    span.name(f"{scope['method']} {route}")
    span.tell(
        {
            "http.request.method": scope["method"],
            "http.route": route,
            "http.response.status_code": int(status),
            "url.scheme": scope.get("scheme"),
            "url.path": printable(scope),
            "client.address": by.sender if names_sender else None,
            "user.id": str(by.actor_id) if by.actor_id is not None else None,
            "ims.api_key_id": by.api_key_id,
            "ims.request_id": by.request_id,
        }
    )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.fail(str(int(status)))


def printable(scope: Scope) -> str:
    """The path of a request, without the secrets of links and the addresses of people."""
    path: str = scope["path"]
    template = template_of(scope)
    if template is not None and "{token}" not in template and "{email}" not in template and "@" not in path:
        return path
    found = SECRET.search(path)
    if found is not None:
        action = ACTION.search(path)
        return f"{path[: found.start()]}{found[1]}-{action[0] if action else ''}"
    return SUSPECT.sub("-", path)
