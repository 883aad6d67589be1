"""Marks routes whose concurrent requests share a transaction, and runs those requests.

    @router.get("/{incident_id}")
    @gathered(incident_service.read_each, reads=path_id("incident_id"), is_reading=True)
    def read_incident(incident_id: IncidentId, user: CurrentUser, session: SessionDep) -> IncidentDetail:

The handler stays: it serves every request that is out of the ordinary (an `Idempotency-Key`, a query, a body or a token
that is wrong), so that errors are found and told in one place. The function in the decorator does the same for many at
once: it is given the session and pairs of a user and what that user asks for, and returns one outcome for each.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, Protocol

from fastapi import Request, Response
from sqlalchemy.orm import Session

from app.api.deps import id_of, link_to_next
from app.api.gather import MAX_BATCH, Gatherer, Threads
from app.api.key_scopes import require_scope
from app.api.media_types import JSON
from app.api.permission import identify
from app.api.short_way import Handler, Route, takes
from app.api.usual import Reader, Unusual
from app.api.waiting import Outcome
from app.core import origin
from app.core.batches import ALONE, Unfinished
from app.core.errors import DomainError, NotAuthenticated, PermissionDenied
from app.core.origin import Origin
from app.core.security import Bearer
from app.crud.pagination import Page, Slice
from app.db.session import Database
from app.models import User
from app.services.accounts import bearer_service
from app.services.asked import Asked
from app.services.contacts.name_service import put_names

BEARER = "bearer "
MAX_READ_TOGETHER = 32  # each may take 2 MiB of memory
WRITERS = 6  # as many kinds of request as may be written at one moment, each on a connection of its own


class Many(Protocol):
    """Does for many at once what the handler does for one. See `app.api.waiting.Batch`."""

    def __call__(self, session: Session, asked: Sequence[Asked[Any]], *, waits: bool) -> Sequence[Outcome]: ...


class Member(NamedTuple):
    """One request of a batch: what it shows of its sender, what it asks for, and what is known of its origin."""

    bearer: Bearer
    value: Any
    origin: Origin


class Rendered(NamedTuple):
    """The body of an answer, and the page that it shows if it is a list."""

    body: bytes
    page: Page[Any] | None


def gathered(
    many: Many,
    *,
    reads: Reader,
    key_of: Callable[[Any], Hashable] = lambda _: None,
    part_of: Callable[[Any], Slice] | None = None,
    cursor_of: Callable[[Any], int | str] = id_of,
    is_reading: bool = False,
) -> Callable[[Handler], Handler]:
    """Gather the requests of a handler. `reads` gets from a request what the handler is given beside its user.

    `key_of` says what of that must keep its order, such as the id of an incident. `part_of` says which slice a request
    for a list wants, and `cursor_of` where a page ends whose last item this is.
    """
    return takes(lambda route: Gathering(route, many, reads, key_of, part_of, cursor_of, is_reading))


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
    part_of: Callable[[Any], Slice] | None
    cursor_of: Callable[[Any], int | str]
    is_reading: bool
    _gatherer: Gatherer[Member] | None = field(default=None, init=False)

    async def answer(self, request: Request) -> Response | None:
        """The answer, or None for a request that takes the ordinary way. Raises the DomainError that refuses it."""
        services = request.app.state.services
        try:
            bearer = services.auth.tokens.read(_token(request))
            value = await self.reads(request)
        except (Unusual, NotAuthenticated):
            return None
        member = Member(bearer, value, origin.current())
        outcome = await self._gatherer_of(services.database).submit(member)
        return None if outcome is ALONE else self._response(request, value, outcome)

    def _response(self, request: Request, value: Any, rendered: Rendered) -> Response:
        response = Response(rendered.body, self.route.status, media_type=JSON)
        if self.part_of is not None and rendered.page is not None and not self.part_of(value).has_all(rendered.page):
            response.headers["Link"] = link_to_next(request, self.cursor_of(rendered.page[-1]))
        return response

    def _gatherer_of(self, database: Database) -> Gatherer[Member]:
        if self._gatherer is None or self._gatherer.database is not database:
            size = MAX_READ_TOGETHER if self.is_reading else MAX_BATCH
            self._gatherer = Gatherer(
                self.route.name,
                database,
                self._run,
                threads(),
                self._key_of,
                max_batch=size,
                is_reading=self.is_reading,
            )
        return self._gatherer

    def _key_of(self, item: Member) -> Hashable:
        return self.key_of(item.value)

    def _run(self, session: Session, items: Sequence[Member], *, waits: bool) -> Sequence[Outcome]:
        """One transaction for all: who they are, what they ask for, and the answers."""
        senders = bearer_service.authenticate_all(session, {item.bearer for item in items})
        known = {bearer: (sender, self._checked(sender)) for bearer, sender in senders.items()}
        asked: dict[int, Asked[Any]] = {}
        outcomes: dict[int, Outcome] = {}
        for place, item in enumerate(items):
            sender, user = known[item.bearer]
            if isinstance(sender, User):
                identify(item.origin, sender, item.bearer)
            if isinstance(user, User):
                asked[place] = Asked(user, item.value, item.origin.traceparent)
            else:
                outcomes[place] = user
        outcomes |= zip(asked, self.many(session, list(asked.values()), waits=waits), strict=True)
        rendered = self._rendered(session, {id(outcome): outcome for outcome in outcomes.values()})
        return [rendered[id(outcomes[i])] for i in range(len(items))]

    def _checked(self, user: User | DomainError) -> User | DomainError:
        """The user, or why this user may not ask at all."""
        if isinstance(user, DomainError):
            return user
        try:
            if user.api_key is not None:
                require_scope(user, self.route.key_scope)
            self.route.permission.check(user)
        except PermissionDenied as refusal:
            return refusal
        return user

    def _rendered(self, session: Session, outcomes: dict[int, Outcome]) -> dict[int, Outcome]:
        """The outcomes as they leave. What several requests share is rendered once."""
        adapter = self.route.answer
        given = {key: outcome for key, outcome in outcomes.items() if not isinstance(outcome, DomainError | Unfinished)}
        answers = {key: adapter.validate_python(outcome, from_attributes=True) for key, outcome in given.items()}
        put_names(session, list(answers.values()))
        return outcomes | {
            key: Rendered(adapter.dump_json(answer), Page(answer) if isinstance(answer, list) else None)
            for key, answer in answers.items()
        }


def _token(request: Request) -> str:
    header = request.headers.get("authorization", "")
    if header[: len(BEARER)].lower() != BEARER:
        raise Unusual
    return header[len(BEARER) :].strip()
