"""Answers every error as a problem (RFC 9457)."""

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

from app.api.errors import (
    CODES,
    DATABASE_AWAY,
    RETRY_AFTER_SECONDS,
    UNPROCESSABLE,
    UNSTORABLE,
    extra_of,
    problem,
    status_of,
)
from app.api.validation import pointer_to
from app.api.validation_words import subject_of, without_narrower, words_for
from app.core import errors, origin
from app.core.vocabulary import ErrorCode
from app.db.session import is_unavailable

log = structlog.get_logger()

METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
MAX_LISTED, MAX_DETAIL = 100, 1000  # keeps the answer small, however many errors there are


def install(app: FastAPI) -> None:
    """Answer every error in problem form."""
    app.add_exception_handler(errors.DomainError, _domain_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(DataError, _data_error)
    app.add_exception_handler(SQLAlchemyError, _database_error)


def _domain_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.DomainError)
    status = status_of(error)
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
        if error.code is ErrorCode.NOT_AUTHENTICATED:
            log.info("token_refused", reason=str(error), sender=origin.current().sender)
    if isinstance(error, errors.TooManyRequests):
        headers["Retry-After"] = str(error.retry_after_seconds)
    return problem(request, status, str(error), code=error.code, headers=headers, **extra_of(error))


def _validation_error(request: Request, error: Exception) -> JSONResponse:
    """Build the errors from the place and our own words: the input may hold a password, or what JSON cannot."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    in_path = [item for item in found if item["loc"][0] == "path"]
    if in_path:
        said = [words_for(item, str(item["loc"][-1])) for item in in_path if item["type"] == "value_error"]
        detail = " ".join(said) or "Nothing is at this address."
        return problem(request, HTTPStatus.NOT_FOUND, detail, code=ErrorCode.NOT_FOUND)
    listed = without_narrower([_field_error(item, error.body) for item in found[:MAX_LISTED]])
    detail = " ".join(message for _, message in listed[:3])
    where = [{"pointer": pointer, "message": message} for pointer, message in listed]
    return problem(request, UNPROCESSABLE, detail[:MAX_DETAIL], code=ErrorCode.VALIDATION_ERROR, errors=where)


def _field_error(item: Mapping[str, Any], body: Any) -> tuple[str, str]:
    """The pointer to the wrong value, and the message."""
    pointer = pointer_to(item, body)
    return pointer, words_for(item, subject_of(pointer))


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, ErrorCode.HTTP_ERROR)
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = _allowed_methods(request)
    return problem(request, error.status_code, str(error.detail), code=code, headers=headers)


def _allowed_methods(request: Request) -> str:
    """Every method that the address accepts (RFC 9110, section 15.5.6). Starlette names those of one route only."""
    scopes = {method: {**request.scope, "method": method} for method in METHODS}
    routes = request.app.routes
    found = [m for m, scope in scopes.items() if any(r.matches(scope)[0] is Match.FULL for r in routes)]
    return ", ".join(found) or "GET, HEAD"  # no route: what is mounted, static files


def _data_error(request: Request, error: Exception) -> JSONResponse:
    log.warning("unstorable_input", error=type(error).__name__)
    return problem(request, UNPROCESSABLE, UNSTORABLE, code=ErrorCode.UNSTORABLE_VALUE)


def _database_error(request: Request, error: Exception) -> JSONResponse:
    """503 while the database is unreachable. Any other database error is a defect."""
    if not is_unavailable(error):
        raise error
    log.error("database_unavailable", error=str(error.__cause__ or error))
    headers = {"Retry-After": RETRY_AFTER_SECONDS}
    return problem(request, 503, DATABASE_AWAY, code=ErrorCode.DATABASE_UNAVAILABLE, headers=headers)
