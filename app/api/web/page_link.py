"""The page behind the link of a page: made for a phone, without JavaScript. GET shows, only POST acts."""

from http import HTTPStatus
from urllib.parse import quote

from fastapi import APIRouter, Depends, Response

from app.api.deps import PagingDep, SessionDep
from app.api.web.confirmation import confirmation
from app.api.web.form import Minutes, require_same_origin
from app.api.web.page_route import PageRoute
from app.api.web.rendering import page, redirect
from app.services import page_link_service
from app.services.page_link_service import SNOOZES

router = APIRouter(prefix="/p", route_class=PageRoute, include_in_schema=False)
acting = APIRouter(route_class=PageRoute, dependencies=[Depends(require_same_origin)])


@router.api_route("/{token}", methods=["GET", "HEAD"])
def show_page(token: str, paging: PagingDep, session: SessionDep, done: str = "") -> Response:
    """Show the incident of a link. It changes nothing: mail scanners open every link."""
    view = page_link_service.view(session, token, paging)
    return page(HTTPStatus.OK, view=view, token=token, done=confirmation(done, view), snoozes=SNOOZES)


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
    return redirect(f"../{quote(token)}")


router.include_router(acting)


def _back(token: str, done: str) -> Response:
    """To the page, so that reloading it repeats nothing."""
    return redirect(f"../{token}?done={done}")
