"""The route class of web pages: errors are answered with a page."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import Request, Response
from sqlalchemy.exc import SQLAlchemyError

from app.api.errors import RETRY_AFTER_SECONDS, status_of
from app.api.transaction import TransactionalRoute
from app.api.web.rendering import page
from app.core.errors import DomainError, TooManyRequests
from app.db.session import is_unavailable

log = structlog.get_logger()

HEADINGS = {
    400: "This link no longer works",
    403: "Not allowed",
    404: "This link does not work",
    409: "This is not possible",
    410: "This link has expired",
    422: "This is not possible",
    429: "Wait a little",
    503: "Try again",
}
UNAVAILABLE = "The database is not available right now, so nothing was changed. Try again in a few seconds."


class PageRoute(TransactionalRoute):
    """Answers errors with a page for people instead of a problem for programs."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except DomainError as error:
                return self.refusal(request, error)
            except SQLAlchemyError as error:
                if not is_unavailable(error):
                    raise
                return _unavailable(request, error)

        return answer

    def refusal(self, request: Request, error: DomainError) -> Response:
        """The page for an error."""
        return refused(request, status_of(error), str(error), _retry_after(error))


def refused(request: Request, status: int, said: str, headers: dict[str, str] | None = None) -> Response:
    """A page that says what is wrong and what to do. After an action it links back to the page with the button."""
    path = request.url.path.rstrip("/").split("/")
    back = f"../{path[-2]}" if request.method == "POST" and path[1] == "p" and status not in (404, 410) else None
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = {"Retry-After": RETRY_AFTER_SECONDS}
    return page("refusal.html", status, headers, heading=_heading(status), said=said, back=back)


def _unavailable(request: Request, error: Exception) -> Response:
    log.error("database_unavailable", error=str(error.__cause__ or error))
    return refused(request, HTTPStatus.SERVICE_UNAVAILABLE, UNAVAILABLE)


def _heading(status: int) -> str:
    return HEADINGS.get(status, HTTPStatus(status).phrase)


def _retry_after(error: DomainError) -> dict[str, str]:
    return {"Retry-After": str(error.retry_after_seconds)} if isinstance(error, TooManyRequests) else {}
