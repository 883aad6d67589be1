"""Writes into the incident's timeline. A policy is no user, so it is an entry there and not a comment of somebody's."""

from collections.abc import Mapping
from typing import Any

from app.core.vocabulary import TimelineEventType
from app.services.messages import template
from app.services.policies.actions.registry import Context, StepResult, done, register
from app.services.timeline_service import record

MAX_COMMENT = 20_000


@register("comment")
def comment(context: Context, action: Mapping[str, Any]) -> StepResult:
    content = template.render(action["content"], context.facts(), limit=MAX_COMMENT).strip()
    if not content:
        return done("comment", skipped="empty")
    record(
        context.session,
        context.incident.id,
        TimelineEventType.COMMENTED,
        content,
        at=context.at,
        policy_id=context.escalation.policy_id,
        content=content,
    )
    return done("comment")
