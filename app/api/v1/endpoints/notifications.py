"""Deliveries: the state of each message."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from app.api.callbacks import TwilioReport, TwilioSignature
from app.api.deps import Alternatives, CurrentUser, FilterId, PaginatedDep, PagingDep, SessionDep
from app.api.problems import problems
from app.api.query_parameters import any_query
from app.api.transaction import TransactionalRoute
from app.core.errors import MalformedBody, NotFound, PermissionDenied
from app.core.vocabulary import DeliveryStatus
from app.crud.crud_notification import NotificationFilter
from app.schemas.notification import NotificationRead
from app.schemas.types import ChannelName
from app.services.delivery import callback_service, delivery_record_service

router = APIRouter(prefix="/notifications", tags=["notifications"], route_class=TransactionalRoute)

NOT_SIGNED = PermissionDenied(
    "X-Twilio-Signature is missing or wrong. Check that PUBLIC_URL is the URL that Twilio calls."
)  # an example for OpenAPI

TWILIO_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {"type": "object", "additionalProperties": {"type": "string"}},
                "example": {"MessageSid": "SM0123456789abcdef0123456789abcdef", "MessageStatus": "delivered"},
            }
        },
    }
}


async def get_filter(
    incident_id: Annotated[Alternatives[FilterId], Query(description="Incident is any of these ids")] = [],  # noqa: B006 - FastAPI copies it
    channel: Annotated[Alternatives[ChannelName], Query(description="Channel is any of these values")] = [],  # noqa: B006
    status: Annotated[Alternatives[DeliveryStatus], Query(description="Status is any of these values")] = [],  # noqa: B006
) -> NotificationFilter:
    """A filter may be repeated: a delivery matches any of its values."""
    return NotificationFilter(incident_id=incident_id, channel=channel, status=status)


@router.get("")
def list_notifications(
    wanted: Annotated[NotificationFilter, Depends(get_filter)],
    user: CurrentUser,
    session: SessionDep,
    paginated: PaginatedDep,
) -> list[NotificationRead]:
    """List deliveries with their attempts, newest first. Your own, or everybody's for administrators."""
    deliveries = delivery_record_service.deliveries(session, wanted, paginated.part, user=user)
    paginated.link_next(deliveries)
    return deliveries


@router.post(
    "/callbacks/twilio",
    status_code=204,
    dependencies=[TwilioSignature],
    responses=problems(MalformedBody, NOT_SIGNED, NotFound),
    openapi_extra=TWILIO_BODY,
)
@any_query
def receive_twilio_report(report: TwilioReport, paging: PagingDep, session: SessionDep) -> None:
    """Receive Twilio's report about a message. The request needs Twilio's signature in X-Twilio-Signature."""
    callback_service.take(session, report, paging)
