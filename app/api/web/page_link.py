"""The web page behind the link in a page: for phones, works without JavaScript. GET shows, only POST acts."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Response

from app.api.deps import PagingDep, SessionDep
from app.api.web.confirmation import confirmation
from app.api.web.form import MAX_COMMENT, Form, require_same_origin
from app.api.web.page_route import PageRoute
from app.api.web.rendering import page, redirect, script
from app.core.page_links import LINK_TOKEN
from app.core.security import without_punctuation
from app.services import page_link_service
from app.services.page_link_service import SNOOZES

router = APIRouter(prefix="/p", route_class=PageRoute, include_in_schema=False)
acting = APIRouter(route_class=PageRoute, dependencies=[Depends(require_same_origin)])


async def get_token(token: str) -> str:
    """The token of the link, without punctuation that was copied with it."""
    return without_punctuation(token, LINK_TOKEN)


Token = Annotated[str, Depends(get_token)]


@router.get("/times.js")
async def times_script() -> Response:
    """The page's script, in its own file because the policy allows no inline script."""
    return script()


@router.api_route("/{token}", methods=["GET", "HEAD"])
def show_page(token: Token, paging: PagingDep, session: SessionDep, done: str = "") -> Response:
    """Show the incident of a link. It changes nothing: mail scanners open every link."""
    view = page_link_service.view(session, token, paging)
    values: dict[str, Any] = {"view": view, "token": token, "snoozes": SNOOZES, "max_comment": MAX_COMMENT}
    return page("incident.html", done=confirmation(done, view), **values)


@acting.post("/{token}/acknowledge")
def acknowledge_by_link(token: Token, paging: PagingDep, session: SessionDep, form: Form) -> Response:
    """Acknowledge the incident of a link."""
    page_link_service.acknowledge(session, token, paging, comment=form.comment)
    return _back(token, "acknowledged")


@acting.post("/{token}/snooze")
def snooze_by_link(token: Token, paging: PagingDep, session: SessionDep, form: Form) -> Response:
    """Snooze the incident of a link."""
    page_link_service.snooze(session, token, paging, minutes=form.minutes, comment=form.comment)
    return _back(token, "snoozed")


@acting.post("/{token}/escalate")
def escalate_by_link(token: Token, paging: PagingDep, session: SessionDep, form: Form) -> Response:
    """Escalate the incident of a link now."""
    page_link_service.escalate(session, token, paging, comment=form.comment)
    return _back(token, "escalated")


@acting.post("/{token}/resolve")
def resolve_by_link(token: Token, paging: PagingDep, session: SessionDep, form: Form) -> Response:
    """Resolve the incident of a link."""
    page_link_service.resolve(session, token, paging, comment=form.comment)
    return _back(token, "resolved")


@acting.post("/{token}/comment")
def comment_by_link(token: Token, paging: PagingDep, session: SessionDep, form: Form) -> Response:
    """Comment on the incident of a link."""
    page_link_service.comment(session, token, paging, comment=form.comment)
    return _back(token, "commented")


@router.api_route("/{token}/", methods=["GET", "HEAD"])
@router.api_route("/{token}/{action}", methods=["GET", "HEAD"])
def return_to_page(token: Token) -> Response:
    """Redirect a GET on an action's address, such as a reload, to the page: only POST acts."""
    return redirect(f"../{quote(token)}")


router.include_router(acting)


def _back(token: str, done: str) -> Response:
    """Redirect to the page, so that reloading it repeats nothing."""
    return redirect(f"../{token}?done={done}")
