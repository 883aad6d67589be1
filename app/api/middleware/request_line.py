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

RECOVERY = re.compile(r"(/password-recovery/).+", re.DOTALL)
PAGE_LINK = re.compile(r"^/p/.*?(/acknowledge|/snooze|/escalate|/resolve|/comment)?$", re.DOTALL)
RESET_LINK = "/reset-password/"


def fields(scope: Scope, by: Origin, status: int, seconds: float, *, names_sender: bool) -> dict[str, Any]:
    """The fields of a request's line, with all that its context has."""
    said = {
        "method": scope["method"],
        "ms": round(seconds * 1000, 1),
        "path": printable(scope["path"]),
        "request_id": by.request_id,
        "route": template_of(scope) or UNMATCHED,
        "status": int(status),
        "trace_id": tracing.id_of(by.traceparent),
    }
    if by.actor_id is not None:
        said["user_id"] = by.actor_id
    if by.api_key_id is not None:
        said["api_key_id"] = by.api_key_id
    if names_sender:
        said["sender"] = by.sender
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
            "url.path": printable(scope["path"]),
            "client.address": by.sender if names_sender else None,
            "user.id": str(by.actor_id) if by.actor_id is not None else None,
            "ims.api_key_id": by.api_key_id,
            "ims.request_id": by.request_id,
        }
    )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.fail(str(int(status)))


def printable(path: str) -> str:
    """A path for the log, without the tokens of links and without the address of a password reset."""
    if path.startswith("/p/"):
        return PAGE_LINK.sub(r"/p/-\1", path)
    if path.startswith(RESET_LINK):
        return f"{RESET_LINK}-"
    return RECOVERY.sub(r"\1-", path) if "/password-recovery/" in path else path
