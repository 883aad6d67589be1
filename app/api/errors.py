"""The one table from what goes wrong to RFC 9457 problems."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DataError, SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from app.core import errors
from app.db.session import is_unavailable

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
UNPROCESSABLE = 422
METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
TAG_INVALID, TAG_MISSING = "union_tag_invalid", "union_tag_not_found"
MAX_LISTED, MAX_DETAIL = 100, 1000  # an answer stays small, however much is wrong
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
    errors.UnsupportedMediaType: 415,
    errors.InvalidInput: 422,
    errors.TooManyRequests: 429,
}
CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    503: "database_unavailable",
}
DESCRIPTIONS = {
    400: "The body is not what it says, or a token does not count",
    401: "No valid token",
    403: "The token's user may not do this",
    404: "It does not exist",
    409: "It contradicts what is stored",
    410: "It was good once",
    413: "The body is over the limit",
    415: "The body has the wrong content type",
    422: "The input does not validate",
    429: "Too many requests",
    503: "A dependency is down: try again",
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
FIELD_ERROR_EXAMPLE = {"pointer": "/severity", "message": "Input should be 'critical', 'high', 'medium' or 'low'"}


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
    """The error responses of a route, for OpenAPI. Those that follow from what a route takes are added there."""
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


def install(app: FastAPI) -> None:
    """Answer every error in problem form."""
    app.add_exception_handler(errors.DomainError, _domain_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(DataError, _data_error)
    app.add_exception_handler(SQLAlchemyError, _database_error)


def _domain_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.DomainError)
    status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, errors.TooManyRequests):
        headers["Retry-After"] = str(error.retry_after_seconds)
    extra = dict(error.extra)
    if isinstance(error, errors.InvalidInput):
        extra["errors"] = [{"pointer": error.pointer, "message": str(error)}]
    return problem(request, status, str(error), code=error.code, headers=headers, **extra)


def _validation_error(request: Request, error: Exception) -> JSONResponse:
    """Built from place, message and kind alone: the input may hold a password, or what JSON cannot."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    in_path = [item for item in found if item["loc"][0] == "path"]
    if in_path:
        said = [f"{item['loc'][-1]}: {_message(item)}" for item in in_path if item["type"] == "value_error"]
        detail = "; ".join(said) or "There is nothing under this address."
        return problem(request, HTTPStatus.NOT_FOUND, detail, code="not_found")
    listed = list({(_pointer(item, error.body), _message(item)): None for item in found[:MAX_LISTED]})
    where = [{"pointer": pointer, "message": message} for pointer, message in listed]
    detail = "; ".join(f"{pointer or 'body'}: {message}" for pointer, message in listed[:3])
    return problem(request, UNPROCESSABLE, detail[:MAX_DETAIL], code="validation_error", errors=where)


def _message(item: Mapping[str, Any]) -> str:
    return str(item["msg"]).removeprefix("Value error, ")


def _pointer(item: Mapping[str, Any], body: Any) -> str:
    """A JSON pointer into the body, or the parameter's name. Names of union members are not part of the way."""
    place, *way = item["loc"]
    if place != "body":
        return str(way[0]) if way else str(place)
    if item["type"] in {TAG_INVALID, TAG_MISSING}:
        way.append(item["ctx"]["discriminator"].strip("'"))
    is_absent = item["type"] in {"missing", TAG_MISSING}
    steps: list[str] = []
    here = body
    for index, step in enumerate(way):
        is_there = (isinstance(here, dict) and step in here) or (
            isinstance(here, list) and isinstance(step, int) and step < len(here)
        )
        if is_there:
            here = here[step]
        if is_there or (is_absent and index == len(way) - 1 and isinstance(here, dict)):
            steps.append(str(step).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{step}" for step in steps)


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, "http_error")
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _allowed_methods(request)
    return problem(request, error.status_code, str(error.detail), code=code, headers=headers)


def _allowed_methods(request: Request) -> str:
    """All that the address takes (RFC 9110, section 15.5.6): Starlette names the methods of one route only."""
    scopes = {method: {**request.scope, "method": method} for method in METHODS}
    routes = request.app.routes
    found = [m for m, scope in scopes.items() if any(r.matches(scope)[0] is Match.FULL for r in routes)]
    return ", ".join(found) or "GET, HEAD"  # no route: what is mounted, static files


def _data_error(request: Request, error: Exception) -> JSONResponse:
    log.warning("unstorable_input", error=type(error).__name__)
    detail = "A value cannot be stored."
    return problem(request, UNPROCESSABLE, detail, code="unstorable_value")


def _database_error(request: Request, error: Exception) -> JSONResponse:
    """503 while the database is away; whatever else it is, is a defect."""
    if not is_unavailable(error):
        raise error
    log.error("database_unavailable", error=str(error.__cause__ or error))
    detail = "The database is not available at the moment: try again."
    headers = {"Retry-After": RETRY_AFTER_SECONDS}
    return problem(request, 503, detail, code="database_unavailable", headers=headers)


def _sendable(value: Any) -> Any:
    """Names that the client made up may hold lone surrogates, which UTF-8 cannot."""
    if isinstance(value, str):
        return value.translate(UNSENDABLE)
    if isinstance(value, list):
        return [_sendable(item) for item in value]
    if isinstance(value, dict):
        return {_sendable(key): _sendable(item) for key, item in value.items()}
    return value
