"""The confirmation of an action on the page, shown while it is still true."""

from app.core.vocabulary import IncidentStatus
from app.services.page_view.page_view import PageView

SAID = {
    "acknowledged": "Acknowledged. Paging has stopped.",
    "snoozed": "Snoozed. It reopens by itself.",
    "escalated": "Escalated. The next people are paged now.",
    "resolved": "Resolved. Paging has stopped.",
    "commented": "Your comment is saved.",
}


def confirmation(done: str, view: PageView) -> str | None:
    """The sentence for an action; None if it is no longer true, or `done` is not an action."""
    holds = {
        "acknowledged": view.status == IncidentStatus.ACKNOWLEDGED,
        "snoozed": view.status == IncidentStatus.SNOOZED,
        "escalated": view.is_escalated,
        "resolved": view.status == IncidentStatus.RESOLVED,
        "commented": bool(view.timeline) and view.timeline[0].comment is not None,
    }
    return SAID[done] if holds.get(done) else None
