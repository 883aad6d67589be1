"""The one table from domain errors to RFC 9457 problems, and how OpenAPI documents them."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from app.core import errors

MEDIA_TYPE = "application/problem+json"
UNPROCESSABLE = 422
RETRY_AFTER_SECONDS = "5"
UNSENDABLE = dict.fromkeys(range(0xD800, 0xE000), "\N{REPLACEMENT CHARACTER}")

STATUSES: dict[type[errors.DomainError], int] = {
    errors.MalformedBody: 400,
    errors.InvalidResetToken: 400,
    errors.NotAuthenticated: 401,
    errors.PermissionDenied: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.LinkExpired: 410,
    errors.AlertTooLarge: 413,
    errors.UnsupportedMediaType: 415,
    errors.InvalidInput: 422,
    errors.TooManyRequests: 429,
    errors.WorkerStalled: 503,
    errors.Overloaded: 503,
    errors.QueryTooSlow: 503,
}
CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    503: "database_unavailable",
}
DESCRIPTIONS = {
    400: "The body is malformed, or a token is invalid, used or expired",
    401: "No valid token",
    403: "This user may not do this",
    404: "It does not exist",
    409: "The request conflicts with what is stored",
    410: "The link has expired",
    413: "The body is over the limit",
    415: "The body's content type is not accepted",
    422: "The input is not valid",
    429: "Too many requests",
    503: "A dependency is down, too many requests are waiting, or a query takes too long",
}
HEADERS = {
    401: ("WWW-Authenticate", "How to authenticate"),
    429: ("Retry-After", "Seconds to wait"),
    503: ("Retry-After", "Seconds to wait"),
}
PROBLEM_EXAMPLE = {
    "type": "about:blank",
    "instance": "/v1/incidents",
    "request_id": "3f2b1a907c1d4f6e8a530242ac120002",
}
FIELD_ERROR_EXAMPLE = {
    "pointer": "/severity",
    "message": 'severity "urgent" is not valid. Use critical, high, medium or low.',
}


def status_of(error: errors.DomainError) -> int:
    """The HTTP status of a domain error: its own class's, or the nearest one above."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def problem(
    request: Request, status: int, detail: str, *, code: str, headers: Mapping[str, str] | None = None, **extra: Any
) -> JSONResponse:
    """An answer in problem form."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "code": code,
        "message": detail,
        "request_id": request.scope.get("request_id", ""),
        **extra,
    }
    return JSONResponse(_sendable(content), status, headers, media_type=MEDIA_TYPE)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error responses of a route, for OpenAPI. `app.api.openapi` adds those that follow from its inputs."""
    return {status: _documented(status) for status in statuses}


def _documented(status: int) -> dict[str, Any]:
    shown = CODES.get(status) or next(kind.code for kind, mapped in STATUSES.items() if mapped == status)
    detail = DESCRIPTIONS[status] + "."
    example: dict[str, Any] = {"title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    example |= {"code": shown, "message": detail}
    if status == UNPROCESSABLE:
        example["errors"] = [FIELD_ERROR_EXAMPLE]
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": PROBLEM_EXAMPLE | example}
    response = {"description": DESCRIPTIONS[status], "content": {MEDIA_TYPE: content}}
    if status in HEADERS:
        name, meaning = HEADERS[status]
        response["headers"] = {name: {"description": meaning, "schema": {"type": "string"}}}
    return response


def _sendable(value: Any) -> Any:
    """Replace lone surrogates, which a client's field names may contain and UTF-8 cannot encode."""
    if isinstance(value, str):
        return value.translate(UNSENDABLE)
    if isinstance(value, list):
        return [_sendable(item) for item in value]
    if isinstance(value, dict):
        return {_sendable(key): _sendable(item) for key, item in value.items()}
    return value
