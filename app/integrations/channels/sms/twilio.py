"""SMS by Twilio: https://www.twilio.com/docs/messaging/api/message-resource"""

import json
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from app.core.channel import Envelope, Outcome
from app.core.vocabulary import AttemptOutcome
from app.integrations.addresses import host_of, is_this_machine
from app.integrations.channels.sms.text import dialled, text_of
from app.integrations.channels.sms.twilio_callback import callback_url
from app.integrations.http import Limits, post

# https://www.twilio.com/docs/api/errors: invalid number, who answered STOP, no mobile number
GONE = {21211, 21610, 21614}
TOO_MANY = 20429
SERVICE_PREFIX = "MG"  # of a messaging service's id, which stands for many numbers


@dataclass(frozen=True, slots=True)
class TwilioChannel:
    """Hands a message to Twilio, which reports to `public_url` what became of it."""

    account_sid: str
    auth_token: str
    sender: str
    base_url: str
    public_url: str
    timeout_seconds: float
    name: str = "sms"

    def send(self, envelope: Envelope) -> Outcome:
        outcome = post(
            f"{self.base_url.rstrip('/')}/2010-04-01/Accounts/{quote(self.account_sid, safe='')}/Messages.json",
            data=self._form(envelope),
            auth=(self.account_sid, self.auth_token),
            limits=Limits(self.timeout_seconds, allows_private=True, id_field="sid", answer_characters=2000),
        )
        if outcome.result is AttemptOutcome.ACCEPTED:
            return replace(outcome, answer=None)
        return _explained(outcome)

    def provider(self, address: str) -> str:
        return host_of(self.base_url)

    def _form(self, envelope: Envelope) -> dict[str, str]:
        sender = "MessagingServiceSid" if self.sender.startswith(SERVICE_PREFIX) else "From"
        form = {"To": dialled(envelope.address), sender: self.sender, "Body": text_of(envelope)}
        if not is_this_machine(self.public_url):  # Twilio refuses a message whose reports it could not deliver
            query = urlencode({"key": str(envelope.idempotency_key)})
            form["StatusCallback"] = f"{callback_url(self.public_url)}?{query}"
        return form


def _explained(outcome: Outcome) -> Outcome:
    """The outcome as Twilio's own error code says it."""
    said = _error(outcome.answer or "")
    code = said.get("code")
    if not isinstance(code, int):
        return replace(outcome, answer=None)
    return replace(
        outcome,
        result=AttemptOutcome.RETRY if code == TOO_MANY else outcome.result,
        error=f"Twilio error {code}: {said.get('message')}"[:1000],
        is_address_gone=code in GONE,
        answer=None,
    )


def _error(answer: str) -> dict[str, Any]:
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
