"""The dependencies of handlers: session, user, permission, pagination, ids."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Path, Query, Request, Response
from pydantic import Field
from sqlalchemy.orm import Session

from app.api.permission import ADMINS, EVERYBODY, RESPONDERS
from app.core.errors import InvalidInput
from app.core.security import MAX_ID
from app.core.sender import network_of
from app.core.vocabulary import Phase
from app.crud.pagination import Page, Slice
from app.db.session import Database
from app.models import User
from app.schemas import types
from app.schemas.health import WorkerHealth
from app.services.accounts import guess_service
from app.services.accounts.auth_service import Auth
from app.services.accounts.guess_service import Guess
from app.services.ports import Paging
from app.utils.service_locator import Services

DEFAULT_LIMIT, MAX_LIMIT = 100, 500
MAX_SKIP = 10_000
CURSOR = "Where the previous page ended, from its Link header"
SKIP = "How many to skip. Large offsets are refused: follow the Link header instead"


# Each dependency reads from the request itself: a chain of dependencies costs more than a query.
def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def get_services(request: Request) -> Services:
    """All services, for the few handlers that need a setting."""
    return _services(request)


async def get_session(request: Request) -> Session:
    """A session without a connection yet. The route opens and ends its transaction."""
    return _services(request).database.session()


async def get_database(request: Request) -> Database:
    """The database, for handlers that open their own transactions."""
    return _services(request).database


async def get_auth(request: Request) -> Auth:
    """What authentication needs."""
    return _services(request).auth


async def get_paging(request: Request) -> Paging:
    """What planning a page needs."""
    return _services(request).paging


async def get_worker_health(request: Request) -> WorkerHealth:
    """The pulse of this process's worker."""
    state: WorkerHealth = request.app.state.worker_health()
    return state


async def get_phase(request: Request) -> Phase:
    """Where this process is in its life."""
    phase: Phase = request.app.state.phase
    return phase


async def get_rate_limit(request: Request) -> Callable[..., None]:
    """Counts an attempt by this request's sender: `hit(action, account=...)`. Raises TooManyRequests."""
    return partial(_services(request).rate_limits.hit, sender=_sender_of(request))


async def get_guess(request: Request) -> Callable[..., Guess]:
    """Counts a guess of a secret by this request's sender: `guess(action, account=...)`. Raises TooManyRequests."""
    return partial(guess_service.begin, _services(request).guesses, sender=_sender_of(request))


def _sender_of(request: Request) -> str:
    return network_of(request.client.host if request.client else None)


ServicesDep = Annotated[Services, Depends(get_services)]
SessionDep = Annotated[Session, Depends(get_session)]
DatabaseDep = Annotated[Database, Depends(get_database)]
AuthDep = Annotated[Auth, Depends(get_auth)]
PagingDep = Annotated[Paging, Depends(get_paging)]
PhaseDep = Annotated[Phase, Depends(get_phase)]
WorkerHealthDep = Annotated[WorkerHealth, Depends(get_worker_health)]
RateLimitDep = Annotated[Callable[..., None], Depends(get_rate_limit)]
GuessDep = Annotated[Callable[..., Guess], Depends(get_guess)]

# Not for viewers. This is the default for new routes.
CurrentUser = Annotated[User, Depends(RESPONDERS)]
AdminUser = Annotated[User, Depends(ADMINS)]
# Viewers too: to read incidents, and for their own profile.
AnyUser = Annotated[User, Depends(EVERYBODY)]


def skips_too_far() -> InvalidInput:
    """What is said to a client that asks for too large an offset."""
    return InvalidInput(f"skip must be at most {MAX_SKIP}. Follow the Link header's cursor instead.", pointer="skip")


def link_to_next(request: Request, cursor: int | str) -> str:
    """The Link header that names the page after the one that ends at a cursor."""
    url = request.url.remove_query_params("skip").include_query_params(cursor=cursor)
    return f'<{url}>; rel="next"'


def id_of(item: Any) -> int:
    """The cursor of the page that ends with an item, for lists in the order of their ids."""
    found: int = item.id
    return found


Skip = Annotated[int, Query(ge=0, description=SKIP, json_schema_extra={"maximum": MAX_SKIP})]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many to return")]


class Paginated:
    """The page the client asks for, and the Link header for the next one (RFC 8288)."""

    def __init__(
        self,
        request: Request,
        response: Response,
        skip: Skip = 0,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Annotated[int | None, Query(ge=0, le=MAX_ID, description=CURSOR)] = None,
    ) -> None:
        if skip > MAX_SKIP:
            raise skips_too_far()
        self.part = Slice(limit=limit, skip=skip, after=cursor)
        self._request = request
        self._response = response

    def link_next(self, items: Page[Any]) -> None:
        """Name the next page in the Link header, if this one is full or was cut to the size of an answer."""
        if not self.part.has_all(items):
            self._response.headers["Link"] = link_to_next(self._request, self.cursor_of(items[-1]))

    def cursor_of(self, item: Any) -> int | str:
        """Where the page ends whose last item this is."""
        return id_of(item)


async def get_paginated(paginated: Annotated[Paginated, Depends()]) -> Paginated:
    return paginated


# The values of a filter that may be repeated: each is compared.
Item = TypeVar("Item")
Alternatives = Annotated[list[Item], Field(max_length=100)]
FilterId = Annotated[int, Field(ge=1, le=MAX_ID)]

PaginatedDep = Annotated[Paginated, Depends(get_paginated)]

IncidentId = Annotated[int, Path(ge=1, le=MAX_ID, description="The incident", examples=[1])]
UserId = Annotated[int, Path(ge=1, le=MAX_ID, description="The user", examples=[1])]
PolicyId = Annotated[int, Path(ge=1, le=MAX_ID, description="The escalation policy", examples=[1])]
ChannelName = Annotated[types.ChannelName, Path(description="The channel", examples=["email"])]
