"""Pages people."""

from collections.abc import Mapping
from typing import Any

from app.core.channel import CHANNELS
from app.services.contacts import recipient_service
from app.services.notification_service import PageContext, Plan, plan
from app.services.policies.actions.registry import Context, StepResult, register


@register("notify")
def notify(context: Context, action: Mapping[str, Any]) -> StepResult:
    target = action.get("target", "assignees")
    channels = list(dict.fromkeys(action.get("channels") or ()))
    planned, is_anybody = Plan(), False
    for single in dict.fromkeys(target) if isinstance(target, list) else [target]:
        people = recipient_service.resolve(context.session, context.incident, single, context.paging, context.occasion)
        is_anybody = is_anybody or any(person.is_active for person in people)
        named = [single] if single in CHANNELS else channels
        about, note = PageContext(context.incident, context.paging, context.at), action.get("message")
        planned += plan(context.session, about, people, named=named, note=note, before=context.written)
    outcome: dict[str, Any] = {"type": "notify", "pages": len(planned.pages)}
    if not is_anybody:
        outcome["skipped"] = "no_active_person"
    return StepResult(planned, has_reached=bool(planned.pages), outcomes=(outcome,))
