"""The one table from domain errors to RFC 9457 problems. `app.api.problem_examples` documents them."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from app.core import errors
from app.core.vocabulary import ErrorCode

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
    errors.NotReady: 503,
    errors.Overloaded: 503,
    errors.QueryTooSlow: 503,
}
# The codes of what the framework refuses by itself.
CODES = {
    400: ErrorCode.BAD_REQUEST,
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    413: ErrorCode.BODY_TOO_LARGE,
}
UNSTORABLE = "A value cannot be stored in the database."
DATABASE_AWAY = "The database is not available at the moment. Try again."


def status_of(error: errors.DomainError) -> int:
    """The HTTP status of a domain error: its own class's, or the nearest one above."""
    return next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)


def extra_of(error: errors.DomainError) -> dict[str, Any]:
    """What the problem of a domain error has beside the members that all have."""
    where = [{"pointer": error.pointer, "message": str(error)}] if isinstance(error, errors.InvalidInput) else None
    return {**error.extra, **({"errors": where} if where else {})}


def members(status: int, detail: str, *, code: ErrorCode, instance: str, request_id: str) -> dict[str, Any]:
    """What every problem says."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
        "message": detail,
        "request_id": request_id,
    }


def problem(
    request: Request,
    status: int,
    detail: str,
    *,
    code: ErrorCode,
    headers: Mapping[str, str] | None = None,
    **extra: Any,
) -> JSONResponse:
    """An answer in problem form."""
    request_id = request.scope.get("request_id", "")
    said = members(status, detail, code=code, instance=request.url.path, request_id=request_id)
    return JSONResponse(_sendable({**said, **extra}), status, headers, media_type=MEDIA_TYPE)


def _sendable(value: Any) -> Any:
    """Replace lone surrogates, which a client's field names may contain and UTF-8 cannot encode."""
    if isinstance(value, str):
        return value.translate(UNSENDABLE)
    if isinstance(value, list):
        return [_sendable(item) for item in value]
    if isinstance(value, dict):
        return {_sendable(key): _sendable(item) for key, item in value.items()}
    return value
