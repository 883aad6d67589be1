"""Pages people."""

from collections.abc import Mapping
from typing import Any

from app.core.channel import CHANNELS
from app.services import recipient_service
from app.services.actions.registry import Context, StepResult, register
from app.services.notification_service import Plan, plan


@register("notify")
def notify(context: Context, action: Mapping[str, Any]) -> StepResult:
    target = action.get("target", "assignees")
    planned = Plan()
    for single in target if isinstance(target, list) else [target]:
        people = recipient_service.resolve(context.session, context.incident, single, context.paging, context.occasion)
        named = [single] if single in CHANNELS else action.get("channels")
        planned += plan(
            context.session,
            context.incident,
            people,
            context.paging,
            at=context.at,
            named=named,
            note=action.get("message"),
        )
    outcome = {"type": "notify", "pages": len(planned.pages)}
    return StepResult(planned, has_reached=bool(planned.pages), outcomes=(outcome,))
