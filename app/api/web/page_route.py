"""The route class of pages for people: what goes wrong is answered by a page."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import Request, Response
from sqlalchemy.exc import SQLAlchemyError

from app.api.errors import RETRY_AFTER_SECONDS, status_of
from app.api.transaction import TransactionalRoute
from app.api.web.rendering import page
from app.core.errors import DomainError
from app.db.session import is_unavailable

log = structlog.get_logger()

HEADINGS = {
    403: "Not allowed",
    404: "No such link",
    409: "That is not possible",
    410: "This link has expired",
    422: "That is not possible",
    503: "Try again",
}
UNAVAILABLE = "The database is not available at the moment: nothing was done. Try again in a few seconds."


class PageRoute(TransactionalRoute):
    """Answers what goes wrong with a page for people instead of a problem for programs."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except DomainError as error:
                return _refusal(request, status_of(error), str(error))
            except SQLAlchemyError as error:
                if not is_unavailable(error):
                    raise
                return _unavailable(request, error)

        return answer


def _refusal(request: Request, status: int, said: str) -> Response:
    """A page that says why not. After an action there is a way back to the incident."""
    path = request.url.path.rstrip("/").split("/")
    back = f"../{path[-2]}" if request.method == "POST" and status not in (404, 410) else None
    headers = {"Retry-After": RETRY_AFTER_SECONDS} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return page(status, headers, heading=HEADINGS.get(status, HTTPStatus(status).phrase), said=said, back=back)


def _unavailable(request: Request, error: Exception) -> Response:
    log.error("database_unavailable", error=str(error.__cause__ or error))
    return _refusal(request, HTTPStatus.SERVICE_UNAVAILABLE, UNAVAILABLE)
