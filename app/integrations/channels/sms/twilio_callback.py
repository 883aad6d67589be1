"""Reads Twilio's reports about messages, and checks that they come from Twilio.

https://www.twilio.com/docs/usage/security#validating-requests and
https://www.twilio.com/docs/messaging/guides/track-outbound-message-status
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from uuid import UUID

from app.services.delivery.callback_service import DeliveryReport

CALLBACK_PATH = "/v1/notifications/callbacks/twilio"
ARRIVED = {"delivered", "read"}
# https://www.twilio.com/docs/api/errors. When a message is handed over: an invalid number, one that cannot be reached,
# who answered STOP, no mobile number, a landline. Later: one that is unknown, a landline or an unreachable carrier.
GONE = {21211, 21214, 21217, 21610, 21614, 21635, 30005, 30006}
GONE_CODES = {str(code) for code in GONE}
FAILED = {"undelivered", "failed", "canceled"}

Form = Sequence[tuple[str, str]]


def callback_url(public_url: str) -> str:
    """The URL for Twilio's reports, without the query."""
    return f"{public_url.rstrip('/')}{CALLBACK_PATH}"


def spellings(url: str) -> tuple[str, str]:
    """The URL with and without its port: Twilio signs one of them, and its own libraries accept both.

    https://github.com/twilio/twilio-python/blob/main/twilio/request_validator.py
    """
    scheme, _, rest = url.partition("://")
    end = next((index for index, character in enumerate(rest) if character in "/?#"), len(rest))
    place, path = rest[:end], rest[end:]
    host, _, port = place.rpartition(":")
    if not port.isdecimal():  # no port; a colon within brackets belongs to an address
        host, port = place, "443" if scheme.lower() == "https" else "80"
    return f"{scheme}://{host}{path}", f"{scheme}://{host}:{port}{path}"


def signature(url: str, form: Form, token: str) -> str:
    """Twilio's signature of a request: HMAC-SHA1 of the whole URL and the sorted fields, in base64."""
    signed = url + "".join(name + value for name, value in sorted(set(form)))
    digest = hmac.new(token.encode(), signed.encode("utf-8", "surrogatepass"), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def report_of(key: UUID, form: Form) -> DeliveryReport:
    """The report in a status callback. An unknown status counts as under way."""
    fields = dict(form)
    status = fields.get("MessageStatus", "").lower()
    if status in FAILED:
        return DeliveryReport(
            key,
            has_arrived=False,
            provider_id=_sid(fields),
            error=_reason(status, fields),
            is_address_gone=fields.get("ErrorCode", "") in GONE_CODES,
        )
    return DeliveryReport(key, has_arrived=True if status in ARRIVED else None, provider_id=_sid(fields))


def _sid(fields: dict[str, str]) -> str | None:
    return fields.get("MessageSid", "")[:255] or None


def _reason(status: str, fields: dict[str, str]) -> str:
    code = fields.get("ErrorCode", "")
    said = f"Twilio reports that it is {status}"
    return f"{said} (error {code})." if code.isdecimal() else f"{said}."
