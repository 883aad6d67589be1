"""How messages are worded. For administrators."""

from typing import Annotated

from fastapi import APIRouter, Path

from app.api.deps import AdminUser, ChannelName, PagingDep, SessionDep
from app.api.problems import problems
from app.api.transaction import TransactionalRoute
from app.core.errors import InvalidInput, NotFound
from app.core.vocabulary import MessageKind
from app.schemas.template import TemplatePreview, TemplatePreviewRead, TemplateRead, TemplateUpdate
from app.services.messages import template_service

router = APIRouter(prefix="/notification-templates", tags=["notifications"], route_class=TransactionalRoute)

# Examples for OpenAPI.
SAYS_NOTHING = InvalidInput(
    "The text is empty, at least for the sample. Write something that is always shown.", pointer="/body"
)
NO_INCIDENT = InvalidInput("There is no incident 2.", pointer="/incident_id")

Event = Annotated[MessageKind, Path(description="The kind of message", examples=["page"])]


@router.get("")
def list_templates(user: AdminUser, paging: PagingDep, session: SessionDep) -> list[TemplateRead]:
    """List the wording of every message. One for each channel and kind of message, including defaults."""
    return template_service.effective(session, paging)


@router.get("/{channel}/{event}", responses=problems(NotFound))
def read_template(channel: ChannelName, event: Event, user: AdminUser, session: SessionDep) -> TemplateRead:
    """Read the wording of one message. It is the default until an administrator sets another."""
    return template_service.get(session, channel, event)


@router.put("/{channel}/{event}", responses=problems(NotFound, SAYS_NOTHING))
def set_template(
    channel: ChannelName, event: Event, body: TemplateUpdate, user: AdminUser, paging: PagingDep, session: SessionDep
) -> TemplateRead:
    """Set the wording of one message. It is a subset of Jinja, and is tried on a sample before it is saved.

    A page has `incident` (`id`, `title`, `severity`, `service`, `status`, `source`, `description`, `created_at`,
    `metadata`), `note`, `url` and `link`; a bundle has `count`, `named` and `incidents`, each like a page, without
    `metadata`. A missing fact renders as nothing. If the template fails for a message, the default is sent.
    """
    return template_service.put(session, channel, event, body, paging, by=user)


@router.delete("/{channel}/{event}", responses=problems(NotFound))
def reset_template(channel: ChannelName, event: Event, user: AdminUser, session: SessionDep) -> TemplateRead:
    """Go back to the default wording. Answers with it. Repeating it changes nothing."""
    return template_service.reset(session, channel, event, by=user)


@router.post("/{channel}/{event}/preview", responses=problems(NotFound, NO_INCIDENT))
def preview_template(
    channel: ChannelName, event: Event, body: TemplatePreview, user: AdminUser, paging: PagingDep, session: SessionDep
) -> TemplatePreviewRead:
    """Try a wording on an incident. Nothing is saved or sent. `error` says what does not work."""
    return template_service.preview(session, channel, event, body, paging)
