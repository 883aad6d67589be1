"""What the page says about an action that its reader took, for as long as it holds."""

from app.core.vocabulary import IncidentStatus
from app.services.page_view.page_view import PageView

SAID = {
    "acknowledged": "Acknowledged. Nobody is paged any further.",
    "snoozed": "Snoozed. It opens again by itself.",
    "escalated": "Escalated. The next people are paged now.",
    "resolved": "Resolved. Nobody is paged any further.",
    "commented": "Your comment is saved.",
}


def confirmation(done: str, view: PageView) -> str | None:
    """The sentence about what was done; None if that no longer holds, or `done` is not one of the actions."""
    holds = {
        "acknowledged": view.status == IncidentStatus.ACKNOWLEDGED,
        "snoozed": view.status == IncidentStatus.SNOOZED,
        "escalated": view.is_escalated,
        "resolved": view.status == IncidentStatus.RESOLVED,
        "commented": bool(view.timeline) and view.timeline[0].comment is not None,
    }
    return SAID[done] if holds.get(done) else None
