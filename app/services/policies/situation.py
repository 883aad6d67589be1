"""What the services of this room are handed together."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.core.vocabulary import NotificationKind
from app.models import Incident
from app.services.ports import Paging


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A locked incident at one moment, and what paging about it needs. `is_manual`: somebody escalates by hand."""

    session: Session
    incident: Incident
    paging: Paging
    at: datetime
    is_manual: bool = False

    @property
    def kind(self) -> NotificationKind:
        return NotificationKind.MANUAL_PAGE if self.is_manual else NotificationKind.PAGE
