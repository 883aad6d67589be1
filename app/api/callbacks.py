"""Reads providers' delivery reports and checks their signatures."""

from typing import Annotated
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import Depends, Header, Query, Request

from app.api.deps import ServicesDep
from app.core.errors import MalformedBody, NotFound, PermissionDenied
from app.core.security import same_secret
from app.integrations.channels.sms import twilio_callback
from app.services.delivery.callback_service import DeliveryReport

MAX_FIELDS = 200
EXAMPLE_KEY = "3f2b1a90-7c1d-41ef-9a53-0242ac120002"


async def require_twilio_signature(
    request: Request,
    services: ServicesDep,
    x_twilio_signature: Annotated[str, Header(include_in_schema=False)] = "",
) -> None:
    """Raise PermissionDenied unless Twilio signed this, NotFound if Twilio is not set up."""
    token = services.settings.twilio_auth_token
    if token is None:
        raise NotFound("There is nothing at this address.")
    url = twilio_callback.callback_url(services.settings.public_url)
    signed = f"{url}?{request.url.query}" if request.url.query else url
    form, secret = await _form(request), token.get_secret_value()
    expected = [twilio_callback.signature(spelt, form, secret) for spelt in twilio_callback.spellings(signed)]
    matches = [
        same_secret(x_twilio_signature, one) for one in expected
    ]  # compare all of them, so that the time taken reveals nothing
    if not any(matches):
        raise PermissionDenied(
            "X-Twilio-Signature is missing or wrong. Check that PUBLIC_URL is the URL that Twilio calls."
        )


async def get_twilio_report(
    request: Request,
    key: Annotated[UUID, Query(description="The idempotency key of the message", examples=[EXAMPLE_KEY])],
) -> DeliveryReport:
    """Twilio's report about a message."""
    return twilio_callback.report_of(key, await _form(request))


async def _form(request: Request) -> list[tuple[str, str]]:
    """The form's fields in order. Raises MalformedBody."""
    try:
        body = (await request.body()).decode()
        return parse_qsl(body, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise MalformedBody("The body is not a form. Send application/x-www-form-urlencoded.") from error


TwilioSignature = Depends(require_twilio_signature)
TwilioReport = Annotated[DeliveryReport, Depends(get_twilio_report)]
