"""The actions of the link in a page: see one incident, and act on it as the person who was paged."""

from datetime import timedelta

from sqlalchemy.orm import Session

from app.core.errors import InvalidInput, InvalidTransition, NotFound, PermissionDenied, UnknownLink
from app.core.page_links import PageLink
from app.core.vocabulary import IncidentStatus
from app.crud import crud_comment, crud_user
from app.crud.clock import now
from app.models import Incident, User
from app.services.incidents import collaboration_service, incident_service, lifecycle_service
from app.services.incidents.incident import Move, MoveRequest
from app.services.page_view import page_view_service
from app.services.page_view.page_view import PageView
from app.services.policies import manual_escalation_service
from app.services.ports import Paging

SNOOZES = {15: "15 min", 30: "30 min", 60: "1 hour", 240: "4 hours"}  # minutes
BY_LINK = " through the link in a page"
NOBODYS = (
    "This page went to an address without an account, so a comment would have no author. Nothing was changed. "
    "Press the button again without a comment."
)


def view(session: Session, token: str, paging: Paging) -> PageView:
    """The incident of a link. Raises UnknownLink, LinkExpired, PermissionDenied."""
    link, person = _read(session, token, paging)
    try:
        return page_view_service.view(session, link.incident_id, person)
    except NotFound as error:
        raise _deleted(link) from error


def acknowledge(session: Session, token: str, paging: Paging, *, comment: str | None = None) -> None:
    """Stop paging: somebody is on it. Raises InvalidTransition, and what `view` raises."""
    incident, person = _locked(session, token, paging, comment=comment)
    lifecycle_service.move(session, incident, MoveRequest(Move.ACKNOWLEDGE, now(session)), by=person, because=BY_LINK)
    _comment(session, incident, comment, by=person)


def resolve(session: Session, token: str, paging: Paging, *, comment: str | None = None) -> None:
    """End the incident. Raises what `view` raises."""
    incident, person = _locked(session, token, paging, comment=comment)
    lifecycle_service.move(session, incident, MoveRequest(Move.RESOLVE, now(session)), by=person, because=BY_LINK)
    _comment(session, incident, comment, by=person)


def snooze(session: Session, token: str, paging: Paging, *, minutes: int, comment: str | None = None) -> None:
    """Snooze for one of `SNOOZES`. Raises InvalidInput, InvalidTransition, and what `view` raises."""
    incident, person = _locked(session, token, paging, comment=comment)
    if minutes not in SNOOZES:
        raise InvalidInput(f"Snooze for one of {', '.join(SNOOZES.values())}.", pointer="minutes")
    at = now(session)
    wanted = MoveRequest(Move.SNOOZE, at, snoozed_until=at + timedelta(minutes=minutes))
    lifecycle_service.move(session, incident, wanted, by=person, because=BY_LINK)
    _comment(session, incident, comment, by=person)


def escalate(session: Session, token: str, paging: Paging, *, comment: str | None = None) -> None:
    """Escalate now: a person who was paged may pass it on. Raises InvalidTransition, and what `view` raises."""
    incident, person = _locked(session, token, paging, comment=comment)
    if incident.status is IncidentStatus.RESOLVED:
        raise InvalidTransition("The incident is resolved, so nobody is paged. Reopen it first.")
    manual_escalation_service.escalate_locked(session, incident, paging, by=person, because=BY_LINK)
    _comment(session, incident, comment, by=person)


def comment(session: Session, token: str, paging: Paging, *, comment: str | None) -> None:
    """Comment on the incident. Raises InvalidInput for an empty comment, and what `view` raises."""
    incident, person = _locked(session, token, paging, comment=comment)
    if comment is None:
        raise InvalidInput("The comment is empty. Write something first.", pointer="comment")
    _comment(session, incident, comment, by=person)


def _comment(session: Session, incident: Incident, comment: str | None, *, by: User | None) -> None:
    """Add the comment, unless it equals the last one: then a button was pressed twice."""
    if comment is None or by is None:
        return
    last = crud_comment.newest(session, incident.id)
    if last is None or (last.user_id, last.content) != (by.id, comment):
        collaboration_service.comment(session, incident.id, comment, by=by)


def _locked(session: Session, token: str, paging: Paging, *, comment: str | None) -> tuple[Incident, User | None]:
    """The incident of a link, locked, and the link's owner. Refuses a comment that would have no author."""
    link, person = _read(session, token, paging)
    if person is None and comment is not None:
        raise PermissionDenied(NOBODYS)
    try:
        return incident_service.locked(session, link.incident_id), person
    except NotFound as error:
        raise _deleted(link) from error


def _read(session: Session, token: str, paging: Paging) -> tuple[PageLink, User | None]:
    """The rights of a link, and its owner: None if it went to an address without an account."""
    link = paging.links.read(token, at=now(session))
    if link.user_id is None:
        return link, None
    people = crud_user.active(session, [link.user_id])
    if not people:
        raise PermissionDenied(
            "The person this link was sent to no longer has an active account. "
            "If that is you, ask an administrator to activate your account again."
        )
    return link, people[0]


def _deleted(link: PageLink) -> UnknownLink:
    return UnknownLink(f"An administrator has deleted incident #{link.incident_id}. There is nothing left to do here.")
