"""Timelines of incidents."""

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.vocabulary import TimelineEventType
from app.crud.base import CRUDBase
from app.crud.pagination import Slice
from app.models import TimelineEvent


class CRUDTimeline(CRUDBase[TimelineEvent]):
    def slice(self, session: Session, incident_id: int, part: Slice) -> Sequence[TimelineEvent]:
        query = select(TimelineEvent).where(TimelineEvent.incident_id == incident_id)
        return session.scalars(part.of(query, TimelineEvent.id, newest_first=True)).all()

    def latest(
        self, session: Session, incident_id: int, event_types: Collection[TimelineEventType]
    ) -> TimelineEvent | None:
        """The newest entry of one of these types."""
        query = select(TimelineEvent).where(
            TimelineEvent.incident_id == incident_id, TimelineEvent.event_type.in_(event_types)
        )
        return session.scalars(query.order_by(TimelineEvent.id.desc()).limit(1)).one_or_none()

    def first_after(
        self, session: Session, incident_id: int, event_types: Collection[TimelineEventType], *, after: int
    ) -> TimelineEvent | None:
        """The oldest entry of one of these types that is newer than the entry of an id."""
        query = select(TimelineEvent).where(
            TimelineEvent.incident_id == incident_id,
            TimelineEvent.event_type.in_(event_types),
            TimelineEvent.id > after,
        )
        return session.scalars(query.order_by(TimelineEvent.id).limit(1)).one_or_none()


crud_timeline = CRUDTimeline(TimelineEvent)
