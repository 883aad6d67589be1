"""The page behind the link of a page: made for a phone, without JavaScript. GET shows, only POST acts."""

import base64
import hashlib
from collections.abc import Callable, Coroutine
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs, quote

import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from sqlalchemy.exc import SQLAlchemyError

from app.api.deps import PagingDep, SessionDep
from app.api.errors import RETRY_AFTER_SECONDS, STATUSES
from app.api.transaction import TransactionalRoute
from app.core.errors import DomainError, PermissionDenied
from app.core.vocabulary import IncidentStatus
from app.db.session import is_unavailable
from app.services import page_link_service
from app.services.page_link_service import SNOOZES, PageView

log = structlog.get_logger()

TEMPLATES = Path(__file__).parents[2] / "templates"
STYLE = (TEMPLATES / "page_link.css").read_text(encoding="utf-8")
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
}
# What was done, whether that still holds, and what is said of it.
DONE: dict[str, tuple[Callable[[PageView], bool], str]] = {
    "acknowledged": (
        lambda view: view.status == IncidentStatus.ACKNOWLEDGED,
        "Acknowledged. Nobody is paged any further.",
    ),
    "snoozed": (lambda view: view.status == IncidentStatus.SNOOZED, "Snoozed. It opens again by itself."),
    "escalated": (lambda view: view.is_escalated, "Escalated. The next people are paged now."),
}
HEADINGS = {
    403: "Not allowed",
    404: "No such link",
    409: "That is not possible",
    410: "This link has expired",
    422: "That is not possible",
    503: "Try again",
}
UNAVAILABLE = "The database is not available at the moment: nothing was done. Try again in a few seconds."
MAX_FORM_BYTES = 1024

_environment = Environment(
    loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True, auto_reload=False
)


class PageRoute(TransactionalRoute):
    """Answers what goes wrong with a page for people instead of a problem for programs."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except DomainError as error:
                status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
                return _refusal(request, status, str(error))
            except SQLAlchemyError as error:
                if not is_unavailable(error):
                    raise
                return _unavailable(request, error)

        return answer


async def get_minutes(request: Request) -> int:
    """For how long to snooze, of the form; 0 for what is none."""
    form = parse_qs((await request.body())[:MAX_FORM_BYTES].decode("utf-8", "replace"))
    given = form.get("minutes", [""])[0]
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 6 else 0


async def require_same_origin(request: Request) -> None:
    """Raise PermissionDenied for what another site's page sent. https://www.w3.org/TR/fetch-metadata/"""
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise PermissionDenied("Another site sent this: open the link and press the button there.")


Minutes = Annotated[int, Depends(get_minutes)]
router = APIRouter(prefix="/p", route_class=PageRoute, include_in_schema=False)
acting = APIRouter(route_class=PageRoute, dependencies=[Depends(require_same_origin)])


@router.api_route("/{token}", methods=["GET", "HEAD"])
def show_page(token: str, paging: PagingDep, session: SessionDep, done: str = "") -> Response:
    """Show the incident of a link. It changes nothing: mail scanners open every link."""
    view = page_link_service.view(session, token, paging)
    holds, said = DONE.get(done, (None, None))
    is_so = holds is not None and holds(view)
    return _page(HTTPStatus.OK, view=view, token=token, done=said if is_so else None, snoozes=SNOOZES)


@acting.post("/{token}/acknowledge")
def acknowledge_by_link(token: str, paging: PagingDep, session: SessionDep) -> Response:
    """Acknowledge the incident of a link."""
    page_link_service.acknowledge(session, token, paging)
    return _back(token, "acknowledged")


@acting.post("/{token}/snooze")
def snooze_by_link(token: str, paging: PagingDep, session: SessionDep, minutes: Minutes) -> Response:
    """Snooze the incident of a link."""
    page_link_service.snooze(session, token, paging, minutes=minutes)
    return _back(token, "snoozed")


@acting.post("/{token}/escalate")
def escalate_by_link(token: str, paging: PagingDep, session: SessionDep) -> Response:
    """Escalate the incident of a link now."""
    page_link_service.escalate(session, token, paging)
    return _back(token, "escalated")


@router.api_route("/{token}/", methods=["GET", "HEAD"])
@router.api_route("/{token}/{action}", methods=["GET", "HEAD"])
def return_to_page(token: str) -> Response:
    """Show the page to whoever opens or reloads the address of an action, or adds a slash: only POST acts."""
    return RedirectResponse(f"../{quote(token)}", HTTPStatus.SEE_OTHER, HEADERS)


router.include_router(acting)


def _back(token: str, done: str) -> Response:
    """To the page, so that reloading it repeats nothing. Relative: a proxy may have put us under a prefix."""
    return RedirectResponse(f"../{token}?done={done}", HTTPStatus.SEE_OTHER, HEADERS)


def _refusal(request: Request, status: int, said: str) -> Response:
    """A page that says why not. After an action there is a way back to the incident."""
    path = request.url.path.rstrip("/").split("/")
    back = f"../{path[-2]}" if request.method == "POST" and status not in (404, 410) else None
    headers = {"Retry-After": RETRY_AFTER_SECONDS} if status == HTTPStatus.SERVICE_UNAVAILABLE else {}
    return _page(status, headers, heading=HEADINGS.get(status, HTTPStatus(status).phrase), said=said, back=back)


def _unavailable(request: Request, error: Exception) -> Response:
    log.error("database_unavailable", error=str(error.__cause__ or error))
    return _refusal(request, HTTPStatus.SERVICE_UNAVAILABLE, UNAVAILABLE)


def _page(status: int, headers: dict[str, str] | None = None, **values: Any) -> Response:
    template = _environment.get_template("page_link.html")
    text = template.render(**values, style=Markup(STYLE), at=_in_words)  # noqa: S704 - our own file
    return HTMLResponse(text, status, {**HEADERS, **(headers or {})})


def _in_words(at: datetime) -> str:
    return f"{at:%d %B %Y, %H:%M} UTC"
