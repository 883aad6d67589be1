"""SMS by any gateway that takes a POST: a modem, a carrier, another provider."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.core.channel import Envelope, Outcome
from app.core.vocabulary import AttemptOutcome
from app.integrations.addresses import host_of
from app.integrations.channels.sms.text import dialled, text_of
from app.integrations.http import MAX_ANSWER_BYTES, Limits, post
from app.services.messages.template import TemplateError, render

MAX_ID = 255
DEFAULT_BODY = '{"to": {{ to | tojson }}, "text": {{ text | tojson }}, "key": {{ key | tojson }}}'


@dataclass(frozen=True, slots=True)
class GatewayChannel:
    """Posts a body by the operator's template. `id_path` leads to the message's id in a JSON answer: `data.0.id`."""

    url: str
    body: str
    content_type: str
    headers: Mapping[str, str]
    id_path: str | None
    timeout_seconds: float
    name: str = "sms"

    def send(self, envelope: Envelope) -> Outcome:
        facts = {
            "to": dialled(envelope.address),
            "text": text_of(envelope),
            "key": str(envelope.idempotency_key),
        }
        try:
            body = render(self.body, facts)
        except TemplateError as error:
            return Outcome(AttemptOutcome.DEAD, error=f"SMS_GATEWAY_BODY cannot be rendered: {error}")
        outcome = post(
            self.url,
            data=body,
            headers={"Content-Type": self.content_type, **self.headers},
            limits=Limits(self.timeout_seconds, allows_private=True, answer_characters=MAX_ANSWER_BYTES),
        )
        return replace(outcome, provider_id=self._id(outcome), answer=None)

    def provider(self, address: str) -> str:
        return host_of(self.url)

    def _id(self, outcome: Outcome) -> str | None:
        if self.id_path is None or outcome.result is not AttemptOutcome.ACCEPTED:
            return None
        try:
            found = json.loads(outcome.answer or "")
        except (ValueError, RecursionError):
            return None
        for step in self.id_path.split("."):
            found = _within(found, step)
        return str(found)[:MAX_ID] if isinstance(found, str | int) else None


def _within(value: Any, step: str) -> Any:
    """The member of an object, or the item of a list, with this name or number."""
    if isinstance(value, dict):
        return value.get(step)
    if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
        return value[int(step)]
    return None
