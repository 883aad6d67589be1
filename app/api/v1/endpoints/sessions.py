"""Your own login sessions."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from app.api.deps import CURSOR, DEFAULT_LIMIT, AnyUser, Limit, Paginated, SessionDep, Skip
from app.api.problems import problems
from app.api.transaction import TransactionalRoute
from app.core import origin
from app.core.errors import NotFound
from app.crud.crud_auth_session import place_of
from app.crud.pagination import Slice, as_dicts
from app.schemas.session import EXAMPLE_SESSION, SessionRead
from app.services.accounts import session_service

MAX_PLACE = 2**53  # the microseconds of centuries, which any client's JSON can hold

SessionId = Annotated[UUID, Path(description="The login session", examples=[EXAMPLE_SESSION])]

router = APIRouter(prefix="/users/me/sessions", tags=["users"], route_class=TransactionalRoute)


class PaginatedSessions(Paginated):
    """As Paginated. A page ends at the time when its last session began."""

    def __init__(
        self,
        request: Request,
        response: Response,
        skip: Skip = 0,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Annotated[int | None, Query(ge=0, le=MAX_PLACE, description=CURSOR)] = None,
    ) -> None:
        super().__init__(request, response, skip, limit)
        self.part = Slice(limit=limit, skip=skip, after=cursor)

    def cursor_of(self, item: Any) -> int:
        return place_of(item.created_at)


async def get_paginated(paginated: Annotated[PaginatedSessions, Depends()]) -> PaginatedSessions:
    return paginated


PaginatedSessionsDep = Annotated[PaginatedSessions, Depends(get_paginated)]


@router.get("")
def list_my_sessions(user: AnyUser, session: SessionDep, paginated: PaginatedSessionsDep) -> list[SessionRead]:
    """List your login sessions, newest first. Those that have ended are left out."""
    found = session_service.list_sessions(session, user.id, paginated.part)
    paginated.link_next(found)
    return [SessionRead.of(one, origin.current().session_id) for one in as_dicts(found)]


@router.delete("/{session_id}", responses=problems(NotFound))
def revoke_my_session(session_id: SessionId, user: AnyUser, session: SessionDep) -> SessionRead:
    """End one of your login sessions. Its tokens stop working at once. Ending the current one logs you out."""
    [ended] = as_dicts([session_service.revoke(session, user.id, session_id)])
    return SessionRead.of(ended, origin.current().session_id)
