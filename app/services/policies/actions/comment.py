"""Writes into the incident's timeline. A policy is not a user, so it cannot write a comment."""

from typing import Literal

from pydantic import Field

from app.core.vocabulary import TimelineEventType
from app.schemas.base import Input
from app.schemas.types import RequiredText
from app.services.messages import template
from app.services.policies.actions.registry import Action, Mentions, StepResult, Stored, done, register
from app.services.policies.situation import Context
from app.services.timeline_service import record

MAX_COMMENT = 20_000


class CommentAction(Input):
    """Write into the incident's timeline."""

    type: Literal["comment"]
    content: RequiredText = Field(description="A template, such as `Nobody took {{ incident.title }} for an hour.`")


@register
class Comment(Action):
    model = CommentAction

    def perform(self, context: Context, action: Stored) -> StepResult:
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

    def mentions(self, action: Stored) -> Mentions:
        return Mentions(templates=(("content", action["content"]),))
