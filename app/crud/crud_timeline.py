"""Timelines of incidents."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.vocabulary import TimelineEventType
from app.crud.base import CRUDBase
from app.crud.pagination import Page, Slice
from app.models import TimelineEvent


class CRUDTimeline(CRUDBase[TimelineEvent]):
    def slice(self, session: Session, incident_id: int, part: Slice) -> Page[TimelineEvent]:
        query = select(TimelineEvent).where(TimelineEvent.incident_id == incident_id)
        wide = (TimelineEvent.description, TimelineEvent.metadata_)
        return part.read(session, query, TimelineEvent.id, *wide, newest_first=True)

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
