"""Marks routes whose concurrent requests share a transaction, and runs those requests.

    @router.get("/{incident_id}")
    @gathered(incident_service.read_each, reads=path_id("incident_id"), is_reading=True)
    def read_incident(incident_id: IncidentId, user: CurrentUser, session: SessionDep) -> IncidentDetail:

The handler stays: it serves every request that is out of the ordinary (an `Idempotency-Key`, a query, a body or a token
that is wrong), so that errors are found and told in one place. The function in the decorator does the same for many at
once: it is given the session and pairs of a user and what that user asks for, and returns one outcome for each.
"""

import json
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from app.api.gather import Gatherer, Outcome, Threads
from app.api.permission import RESPONDERS, Permission, permission_of
from app.core.batches import LOCKED
from app.core.errors import DomainError, NotAuthenticated, PermissionDenied
from app.core.security import MAX_ID, Claims
from app.db.session import Database
from app.models import User
from app.services.accounts import auth_service
from app.services.contacts.name_service import put_names

Handler = TypeVar("Handler", bound=Callable[..., Any])

SHORT_WAY = "_short_way"
BEARER = "bearer "
JSON = "application/json"
WRITERS = 6  # as many kinds of request as may be written at one moment, each on a connection of its own


class Unusual(Exception):
    """The request takes the ordinary way."""


class Many(Protocol):
    """Does for many at once what the handler does for one. See `app.api.gather.Batch`."""

    def __call__(self, session: Session, asked: Sequence[tuple[User, Any]], *, waits: bool) -> Sequence[Outcome]: ...


Reader = Callable[[Request], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Route:
    """What a short way must know of its route."""

    name: str
    model: type[BaseModel]
    status: int
    permission: Permission


class ShortWay(Protocol):
    """The way that a usual request takes."""

    async def answer(self, request: Request) -> Response | None:
        """The answer, or None for a request that takes the ordinary way. Raises the DomainError that refuses it."""
        ...


def gathered(
    many: Many, *, reads: Reader, key_of: Callable[[Any], Hashable] = lambda _: None, is_reading: bool = False
) -> Callable[[Handler], Handler]:
    """Gather the requests of a handler. `reads` gets from a request what the handler is given beside its user.

    `key_of` says what of that must keep its order, such as the id of an incident.
    """
    return takes(lambda route: Gathering(route, many, reads, key_of, is_reading))


def takes(short_way: Callable[[Route], ShortWay]) -> Callable[[Handler], Handler]:
    """Let the usual requests of a handler take another way, which is made from the route."""

    def mark(handler: Handler) -> Handler:
        setattr(handler, SHORT_WAY, short_way)
        return handler

    return mark


@cache
def threads() -> Threads:
    """The threads of this process in which gathered requests are run; made when the first one comes."""
    return Threads(WRITERS)


@dataclass
class Gathering:
    """The short way of one route."""

    route: Route
    many: Many
    reads: Reader
    key_of: Callable[[Any], Hashable]
    is_reading: bool
    _gatherer: Gatherer[tuple[Claims, Any]] | None = field(default=None, init=False)

    async def answer(self, request: Request) -> Response | None:
        """The answer, or None for a request that takes the ordinary way. Raises the DomainError that refuses it."""
        services = request.app.state.services
        try:
            claims = services.auth.tokens.read(_token(request))
            value = await self.reads(request)
        except (Unusual, NotAuthenticated):
            return None
        body = await self._gatherer_of(services.database).submit((claims, value))
        return Response(body, self.route.status, media_type=JSON)

    def _gatherer_of(self, database: Database) -> Gatherer[tuple[Claims, Any]]:
        if self._gatherer is None or self._gatherer.database is not database:
            self._gatherer = Gatherer(
                self.route.name, database, self._run, threads(), self._key_of, is_reading=self.is_reading
            )
        return self._gatherer

    def _key_of(self, item: tuple[Claims, Any]) -> Hashable:
        return self.key_of(item[1])

    def _run(self, session: Session, items: Sequence[tuple[Claims, Any]], *, waits: bool) -> Sequence[Outcome]:
        """One transaction for all: who they are, what they ask for, and the answers."""
        users = auth_service.authenticate_all(session, {claims for claims, _ in items})
        outcomes: dict[int, Outcome] = {i: self._refusal(users.get(claims)) for i, (claims, _) in enumerate(items)}
        asked = {i: (users[claims], value) for i, (claims, value) in enumerate(items) if outcomes[i] is None}
        outcomes |= zip(asked, self.many(session, list(asked.values()), waits=waits), strict=True)
        answers = [self._answer_of(outcomes[i]) for i in range(len(items))]
        put_names(session, [answer for answer in answers if isinstance(answer, BaseModel)])
        return [self._rendered(answer) for answer in answers]

    def _refusal(self, user: User | None) -> DomainError | None:
        """Why this user may not ask at all."""
        if user is None:
            return NotAuthenticated("The access token has been revoked.")
        try:
            self.route.permission.check(user)
        except PermissionDenied as refusal:
            return refusal
        return None

    def _answer_of(self, outcome: Outcome) -> Outcome:
        if outcome is LOCKED or isinstance(outcome, DomainError):
            return outcome
        return self.route.model.model_validate(outcome)

    def _rendered(self, answer: Outcome) -> Outcome:
        """An answer as it leaves."""
        return as_json(answer) if isinstance(answer, BaseModel) else answer


def short_way_of(name: str, endpoint: Callable[..., Any], model: type[BaseModel], status: int) -> ShortWay | None:
    """The short way of a handler, if it is marked with one."""
    make: Callable[[Route], ShortWay] | None = getattr(endpoint, SHORT_WAY, None)
    return make(Route(name, model, status, permission_of(endpoint) or RESPONDERS)) if make else None


def as_json(answer: BaseModel) -> bytes:
    """An answer as it leaves."""
    return type(answer).__pydantic_serializer__.to_json(answer)


async def nothing(request: Request) -> None:
    """For a handler that is given its user only."""
    _require_usual(request)


def path_id(name: str) -> Reader:
    """For a handler that is given an id from its path."""

    async def read(request: Request) -> int:
        _require_usual(request)
        text = request.path_params[name]
        if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_ID)) and 0 < int(text) <= MAX_ID):
            raise Unusual
        return int(text)

    return read


def json_body(model: type[BaseModel]) -> Reader:
    """For a handler that is given a JSON body."""

    async def read(request: Request) -> BaseModel:
        _require_usual(request)
        if request.headers.get("content-type") != JSON:
            raise Unusual
        try:
            return model.model_validate(await request.json())
        except (json.JSONDecodeError, ValidationError) as error:
            raise Unusual from error

    return read


def path_id_and_body(name: str, model: type[BaseModel]) -> Callable[[Request], Awaitable[tuple[int, Any]]]:
    """For a handler that is given an id from its path, and a JSON body or none."""
    id_of, body_of = path_id(name), json_body(model)

    async def read(request: Request) -> tuple[int, Any]:
        id_ = await id_of(request)
        return id_, (await body_of(request) if await request.body() else None)

    return read


def _require_usual(request: Request) -> None:
    if request.scope["query_string"] or "idempotency-key" in request.headers:
        raise Unusual


def _token(request: Request) -> str:
    header = request.headers.get("authorization", "")
    if header[: len(BEARER)].lower() != BEARER:
        raise Unusual
    return header[len(BEARER) :].strip()
