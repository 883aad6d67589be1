"""The route class that all of /v1 uses: one request, one thread hop, one transaction.

A handler runs in a worker thread, within a transaction that is committed before the answer exists. Dependencies that
need the database are split: their first half looks at the request and runs on the event loop, their second half
(a `Deferred`) runs in the handler's thread and transaction. So no connection is ever held between two threads.
"""

import inspect
from collections.abc import Callable, Coroutine, Iterator
from contextlib import nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial, wraps
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.api import capacity, searching
from app.api.idempotency import answer_once, is_idempotent, repeatable_request
from app.api.media_types import accepted_media_types, require_media_type
from app.api.permission import Deferred, permission_of
from app.api.problems import merged, problems
from app.api.query_parameters import ANY_QUERY, declared_by, refusal_of, takes_any_query
from app.api.short_way import strictly_parsed
from app.core.errors import DomainError, PermissionDenied, QueryTooSlow, TooManyRequests
from app.db.budget import limited
from app.services.contacts.name_service import put_names
from app.services.operations.idempotency_service import Request as RepeatableRequest

Endpoint = Callable[..., Any]

REPEATABLE = "repeatable_request"
# An error in the request's query. It is raised where the handler would run, after authorization.
QUERY_REFUSAL: ContextVar[RequestValidationError | None] = ContextVar("query_refusal", default=None)

CLIENT_LEFT = 499  # as NGINX logs it; nobody reads the answer
DEADLOCK = "40P01"
MAX_DEADLOCKS = 5


class TransactionalRoute(APIRoute):
    """Runs the handler in one thread and one transaction. See the module's docstring."""

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        # What reads by a key is fast, and costs nothing more.
        is_limited = "GET" in (options.get("methods") or ()) and not path.endswith("}")
        implied = [*_implied(endpoint), *([QueryTooSlow] if is_limited else [])]
        options["responses"] = merged(options.get("responses") or {}, problems(*implied))
        if takes_any_query(endpoint):
            options["openapi_extra"] = {**(options.get("openapi_extra") or {}), ANY_QUERY: True}
        shape = Shape(options.get("status_code") or 200, is_limited)
        super().__init__(path, _in_one_transaction(endpoint, shape), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        accepted = accepted_media_types(self)
        declared = None if takes_any_query(self.endpoint) else declared_by(self.dependant)

        async def checked(request: Request) -> Response:
            strict = strictly_parsed(request)
            await require_media_type(strict, accepted)
            refused = QUERY_REFUSAL.set(None if declared is None else refusal_of(strict, declared))
            try:
                async with searching.turn(strict):
                    return await handle(strict)
            except searching.ClientLeft:
                return Response(status_code=CLIENT_LEFT)
            except RequestValidationError:
                await _authorize_first(strict)
                raise
            finally:
                QUERY_REFUSAL.reset(refused)

        return checked


def _implied(endpoint: Endpoint) -> Iterator[type[DomainError]]:
    """The errors that follow from how a handler is marked."""
    permission = permission_of(endpoint)
    if permission is not None and not permission.is_for_everybody:
        yield PermissionDenied
    if capacity.is_hashing(endpoint):
        yield TooManyRequests


async def _authorize_first(request: Request) -> None:
    """Check the user before reporting invalid input: a forbidden request gets 401 or 403, not 422."""
    deferred: list[Deferred] = getattr(request.state, "deferred", [])
    if deferred:
        await capacity.run(_resolve_all, request, deferred)


def _resolve_all(request: Request, deferred: list[Deferred]) -> None:
    with request.app.state.services.database.transaction() as session:
        for item in deferred:
            item.resolve(session)


@dataclass(frozen=True, slots=True)
class Shape:
    """A route's settings for its handler: the status of its answers, and whether its database time is limited."""

    status: int
    is_limited: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A handler with the arguments of one request. With `repeatable`, repetitions do not call it again."""

    handler: Endpoint
    arguments: dict[str, Any]
    shape: Shape
    repeatable: RepeatableRequest | None


def _in_one_transaction(endpoint: Endpoint, shape: Shape) -> Endpoint:
    """The endpoint for FastAPI: a coroutine, so that serializing the answer needs no other thread."""
    signature = inspect.signature(endpoint, eval_str=True)
    if inspect.iscoroutinefunction(endpoint):  # needs no database
        return endpoint

    @wraps(endpoint)
    async def call(**arguments: Any) -> Any:
        if (refusal := QUERY_REFUSAL.get()) is not None:
            raise refusal
        repeatable = arguments.pop(REPEATABLE, None)
        return await capacity.run_endpoint(endpoint, _run, Call(endpoint, arguments, shape, repeatable))

    parameters = list(signature.parameters.values())
    if is_idempotent(endpoint):
        annotation = Annotated[RepeatableRequest | None, Depends(repeatable_request)]
        parameters.append(inspect.Parameter(REPEATABLE, inspect.Parameter.KEYWORD_ONLY, annotation=annotation))
    call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # FastAPI reads it
    return call


def _run(call: Call) -> Any:
    """Run the handler, in a transaction if it takes a session. Retries deadlocks."""
    session: Session | None = call.arguments.get("session")
    if session is None:
        return call.handler(**call.arguments)
    for _ in range(MAX_DEADLOCKS):
        try:
            return _run_in(session, call)
        except OperationalError as error:
            if getattr(error.orig, "pgcode", None) != DEADLOCK:
                raise
    return _run_in(session, call)


def _run_in(session: Session, call: Call) -> Any:
    with session, session.begin():
        arguments = {name: _resolved(value, session) for name, value in call.arguments.items()}
        try:
            with limited() if call.shape.is_limited else nullcontext():
                return _answer(session, call, arguments)
        except DomainError as refusal:
            if refusal.is_remembered:
                session.commit()
            raise


def _resolved(value: Any, session: Session) -> Any:
    return value.resolve(session) if isinstance(value, Deferred) else value


def _named_answer(session: Session, handler: Callable[[], Any]) -> Any:
    """The handler's answer, with people's names added to their ids."""
    given = handler()
    put_names(session, [given])
    return given


def _answer(session: Session, call: Call, arguments: dict[str, Any]) -> Any:
    answer = partial(_named_answer, session, partial(call.handler, **arguments))
    if call.repeatable is None:
        return answer()
    return answer_once(session, call.repeatable, answer, user=arguments["user"], status=call.shape.status)
