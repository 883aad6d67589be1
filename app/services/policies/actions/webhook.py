"""Calls a URL. The call goes through the outbox; the answer is recorded in the incident's timeline."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import Field
from sqlalchemy.orm import Session

from app.core.channel import Outcome, without_answer
from app.core.vocabulary import AttemptOutcome, NotificationKind, TimelineEventType
from app.models import Notification
from app.schemas.base import Input
from app.schemas.types import JsonObject, WebAddress
from app.services.messages import template
from app.services.messages.template import TemplateError
from app.services.notification_service import Call
from app.services.policies.actions.registry import Action, Mentions, StepResult, Stored, register, texts_of
from app.services.policies.situation import Context
from app.services.timeline_service import record

MAX_BODY = 100_000


class WebhookAction(Input):
    """Post JSON to a URL, signed like every webhook. The incident's timeline records the answer."""

    type: Literal["webhook"]
    url: WebAddress
    body: JsonObject | None = Field(
        default=None,
        description="JSON whose texts are templates, such as `{{ incident.title }}`. By default: the incident.",
    )


@register
class Webhook(Action):
    model = WebhookAction

    def perform(self, context: Context, action: Stored) -> StepResult:
        facts = context.facts()
        content = rendered(action["body"], facts) if "body" in action else _default(context, facts)
        body = json.dumps(content, ensure_ascii=False)
        if len(body) > MAX_BODY:
            raise TemplateError(f"the body has over {MAX_BODY} characters: make it shorter")
        return StepResult(outcomes=({"type": "webhook"},), calls=(Call(action["url"], body),))

    def mentions(self, action: Stored) -> Mentions:
        return Mentions(urls=(("url", action["url"]),), templates=tuple(texts_of(action.get("body"), "body")))


def _default(context: Context, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": NotificationKind.WEBHOOK_ACTION,
        "timestamp": context.at.isoformat(),
        "data": {"incident": facts["incident"], "url": facts["url"], "policy_id": context.escalation.policy_id},
    }


def rendered(body: Any, facts: Mapping[str, Any]) -> Any:
    """The JSON with its texts rendered. Names are not rendered. Raises TemplateError."""
    if isinstance(body, str):
        return template.render(body, facts, limit=MAX_BODY)
    if isinstance(body, Mapping):
        return {name: rendered(value, facts) for name, value in body.items()}
    if isinstance(body, list):
        return [rendered(value, facts) for value in body]
    return body


def tell_webhook_answer(session: Session, message: Notification, outcome: Outcome, *, at: datetime) -> None:
    """Record the answer of a called URL in the timeline, without the URL and without the posted body.

    The body of a failed answer is for administrators only: they find it in the deliveries.
    """
    if message.incident_id is None:
        return
    answered = f"answered {outcome.status_code}" if outcome.status_code is not None else "gave no answer"
    record(
        session,
        message.incident_id,
        TimelineEventType.WEBHOOK_CALLED,
        f"The webhook of an escalation policy {answered}.",
        at=at,
        notification_id=message.id,
        result=outcome.result,
        status_code=outcome.status_code,
        answer=outcome.answer if outcome.result is AttemptOutcome.ACCEPTED else None,
        error=without_answer(outcome.error),
    )
