"""SMS by Twilio: https://www.twilio.com/docs/messaging/api/message-resource"""

import json
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from app.core.channel import Envelope, Outcome
from app.core.vocabulary import AttemptOutcome
from app.integrations.addresses import host_of, is_this_machine
from app.integrations.channels.sms.text import dialled, text_of
from app.integrations.channels.sms.twilio_callback import GONE, callback_url
from app.integrations.http import Limits, post, post_or_plainer

CALLBACK, CALLBACK_REFUSED = "StatusCallback", 21609
TOO_MANY = 20429
SERVICE_PREFIX = "MG"  # prefix of a messaging service's id, which represents many numbers


@dataclass(frozen=True, slots=True)
class TwilioChannel:
    """Hands a message to Twilio, which reports its delivery to `public_url`."""

    account_sid: str
    auth_token: str
    sender: str
    base_url: str
    public_url: str
    timeout_seconds: float
    name: str = "sms"

    def send(self, envelope: Envelope) -> Outcome:
        limits = Limits(self.timeout_seconds, allows_private=True, id_field="sid", answer_characters=2000)
        form = self._form(envelope)
        unreported = {name: value for name, value in form.items() if name != CALLBACK}
        outcome = post_or_plainer(
            limits,
            lambda limits: self._post(form, limits),
            lambda limits: self._post(unreported, limits),
            is_refused=lambda outcome: CALLBACK in form and _code(outcome) == CALLBACK_REFUSED,
        )
        return replace(outcome, answer=None) if outcome.result is AttemptOutcome.ACCEPTED else _explained(outcome)

    def _post(self, form: dict[str, str], limits: Limits) -> Outcome:
        account = quote(self.account_sid, safe="")
        url = f"{self.base_url.rstrip('/')}/2010-04-01/Accounts/{account}/Messages.json"
        return post(url, data=form, auth=(self.account_sid, self.auth_token), limits=limits)

    def provider(self, address: str) -> str:
        return host_of(self.base_url)

    def _form(self, envelope: Envelope) -> dict[str, str]:
        sender = "MessagingServiceSid" if self.sender.startswith(SERVICE_PREFIX) else "From"
        form = {"To": dialled(envelope.address), sender: self.sender, "Body": text_of(envelope)}
        if not is_this_machine(self.public_url):  # Twilio refuses a message if it cannot deliver the reports
            query = urlencode({"key": str(envelope.idempotency_key)})
            form[CALLBACK] = f"{callback_url(self.public_url)}?{query}"
        return form


def _explained(outcome: Outcome) -> Outcome:
    """The outcome by Twilio's own error code."""
    said, code = _error(outcome.answer or ""), _code(outcome)
    if code is None:
        return replace(outcome, answer=None)
    return replace(
        outcome,
        result=AttemptOutcome.RETRY if code == TOO_MANY else outcome.result,
        error=f"Twilio error {code}: {said.get('message')}"[:1000],
        is_address_gone=code in GONE,
        answer=None,
    )


def _code(outcome: Outcome) -> int | None:
    code = _error(outcome.answer or "").get("code")
    return code if isinstance(code, int) else None


def _error(answer: str) -> dict[str, Any]:
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
