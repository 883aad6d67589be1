"""The route class that all of /v1 uses: one request, one thread hop, one transaction.

A handler runs in a worker thread, within a transaction that is committed before the answer exists. Dependencies that
need the database are split: their first half looks at the request and runs on the event loop, their second half
(a `Deferred`) runs in the handler's thread and transaction. So no connection is ever held between two threads.
"""

import inspect
import json
from collections.abc import Callable, Coroutine
from email.message import Message as Headers
from functools import wraps
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.api import capacity
from app.core.errors import DomainError, InvalidInput, UnsupportedMediaType
from app.models import User
from app.services.operations import idempotency_service
from app.services.operations.idempotency_service import Request as RepeatableRequest
from app.utils.service_locator import Services

Handler = TypeVar("Handler", bound=Callable[..., Any])
Endpoint = Callable[..., Any]

IDEMPOTENT = "_is_idempotent"
REPEATABLE = "repeatable_request"
REPLAYED = {"Idempotency-Replayed": "true"}

DEADLOCK = "40P01"
MAX_DEADLOCKS = 5


class Deferred:
    """A dependency's second half: `resolve(session)` gives the value that the handler gets."""

    def __init__(self, resolve: Callable[[Session], Any]) -> None:
        self.resolve = resolve


class StrictlyParsed(Request):
    """A request whose JSON is read strictly: no NaN, and no nesting that Python cannot follow."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):  # whether it is too deep depends on the caller: it is parsed once
            try:
                self._json = json.loads(await self.body(), parse_constant=_refuse_constant)
            except (ValueError, RecursionError) as error:
                raise json.JSONDecodeError(str(error) or "nested too deeply", "", 0) from error
        return self._json


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def idempotent(handler: Handler) -> Handler:
    """Mark a handler that creates: with an `Idempotency-Key` it does so once, and repeats its first answer."""
    setattr(handler, IDEMPOTENT, True)
    return handler


class TransactionalRoute(APIRoute):
    """Runs the handler in one thread and one transaction. See the module's text."""

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, _in_one_transaction(endpoint, options.get("status_code") or 200), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        accepted = _accepted_media_types(self)

        async def checked(request: Request) -> Response:
            strict = StrictlyParsed(request.scope, request.receive)
            await _require_media_type(strict, accepted)
            try:
                return await handle(strict)
            except RequestValidationError:
                await _authorize_first(strict)
                raise

        return checked


async def _authorize_first(request: Request) -> None:
    """Who may not do it at all learns that, not what was wrong with the input."""
    deferred: list[Deferred] = getattr(request.state, "deferred", [])
    if deferred:
        await capacity.run(_resolve_all, request, deferred)


def _resolve_all(request: Request, deferred: list[Deferred]) -> None:
    with request.app.state.services.database.transaction() as session:
        for item in deferred:
            item.resolve(session)


def _in_one_transaction(endpoint: Endpoint, status: int) -> Endpoint:
    """The endpoint as FastAPI sees it: a coroutine, so that the answer is serialized without another thread."""
    signature = inspect.signature(endpoint, eval_str=True)
    is_idempotent = getattr(endpoint, IDEMPOTENT, False)

    @wraps(endpoint)
    async def call(**values: Any) -> Any:
        repeatable = values.pop(REPEATABLE, None)
        return await capacity.run_endpoint(endpoint, _run, endpoint, values, repeatable, status)

    parameters = list(signature.parameters.values())
    if is_idempotent:
        annotation = Annotated[RepeatableRequest | None, Depends(_repeatable_request)]
        parameters.append(inspect.Parameter(REPEATABLE, inspect.Parameter.KEYWORD_ONLY, annotation=annotation))
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # FastAPI reads it
    return call


def _run(endpoint: Endpoint, values: dict[str, Any], repeatable: RepeatableRequest | None, status: int) -> Any:
    session: Session | None = values.get("session")
    if session is None:
        return endpoint(**values)
    for _ in range(MAX_DEADLOCKS):
        try:
            return _run_in(session, endpoint, values, repeatable, status)
        except OperationalError as error:  # of two that waited for each other, one was chosen to try again
            if getattr(error.orig, "pgcode", None) != DEADLOCK:
                raise
    return _run_in(session, endpoint, values, repeatable, status)


def _run_in(
    session: Session,
    endpoint: Endpoint,
    values: dict[str, Any],
    repeatable: RepeatableRequest | None,
    status: int,
) -> Any:
    with session, session.begin():
        resolved = {n: v.resolve(session) if isinstance(v, Deferred) else v for n, v in values.items()}
        try:
            if repeatable is None:
                return endpoint(**resolved)
            return _run_once(session, endpoint, resolved, repeatable, status)
        except DomainError as refusal:
            if refusal.is_remembered:
                session.commit()
            raise


def _run_once(
    session: Session, endpoint: Endpoint, values: dict[str, Any], repeatable: RepeatableRequest, status: int
) -> Any:
    user: User = values["user"]
    row = idempotency_service.claim(session, repeatable, user_id=user.id)
    if row.answer is not None:
        return JSONResponse(row.answer["body"], row.answer["status"], REPLAYED)
    answer: BaseModel = endpoint(**values)
    idempotency_service.keep(session, row, {"status": status, "body": answer.model_dump(mode="json")})
    return answer


async def _repeatable_request(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]+$",
            alias="Idempotency-Key",
            description="Makes it safe to send this again: the same key and body within 24 h answer the first result "
            "again, the same key with another body is 409. Any printable ASCII without spaces, such as a UUID.",
        ),
    ] = None,
) -> RepeatableRequest | None:
    if idempotency_key is None:
        return None
    try:
        body = json.dumps(await request.json(), sort_keys=True).encode()
    except ValueError:
        return None  # no body, or no JSON: what reads it next says what is wrong with it
    except RecursionError as error:
        raise InvalidInput("The body is nested too deeply.", pointer="") from error
    route = f"{request.method} {request.url.path.rstrip('/')}"
    services: Services = request.app.state.services
    return RepeatableRequest(route=route, key=idempotency_key, body_hash=services.auth.tokens.seal(body))


def _accepted_media_types(route: APIRoute) -> frozenset[str]:
    """What the operation's body may be: JSON, unless it lists media types of its own. Empty: anything."""
    listed = (route.openapi_extra or {}).get("requestBody", {}).get("content", {})
    return frozenset(listed) or frozenset({"application/json"} if route.body_field else ())


async def _require_media_type(request: Request, accepted: frozenset[str]) -> None:
    """Raise UnsupportedMediaType for a body that the operation would not read as what it says it is."""
    if not accepted or "*/*" in accepted or not await request.body():
        return
    header = Headers()
    header["content-type"] = request.headers.get("content-type", "")
    given = header.get_content_type()
    is_json = given.startswith("application/") and given.endswith("+json") and "application/json" in accepted
    if "content-type" not in request.headers or not (given in accepted or is_json):
        raise UnsupportedMediaType(f"Send {' or '.join(sorted(accepted))}, and say so in Content-Type.")
