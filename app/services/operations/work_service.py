"""Tells a worker whether there is anything to do, so that an idle one costs next to nothing."""

from sqlalchemy.orm import Session

from app.crud import crud_work
from app.services.delivery.ports import Delivery
from app.services.operations.health_service import Pulse


def parts_due(session: Session, pulse: Pulse) -> set[str]:
    """The parts of the plan that have something to do, by their names in the log, and `resets` if one waits."""
    due = crud_work.parts_due(session, followed_reset=pulse.followed_reset)
    if pulse.was_overdue or "steps_taken" in due:
        due.add("overdue")
    if pulse.held:
        due.add("healed")
    return due


def is_due_on(delivery: Delivery, channel: str | None) -> bool:
    """True if anything is due on a channel; without a channel, if anything waits on one that is not set up here."""
    with delivery.database.reading() as session:
        if channel is None:
            return crud_work.is_waiting_elsewhere(session, delivery.channels.keys())
        return crud_work.is_due_on(session, channel)
