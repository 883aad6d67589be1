"""Timelines of incidents."""

from collections.abc import Collection
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, func, select
from sqlalchemy.orm import Session

from app.core.vocabulary import TimelineEventType
from app.crud.base import CRUDBase
from app.crud.pagination import Page, Slice, columns_of, sliced_each
from app.models import TimelineEvent


class CRUDTimeline(CRUDBase[TimelineEvent]):
    def slice(self, session: Session, incident_id: int, part: Slice) -> Page[Row[Any]]:
        return self.slices(session, [incident_id], part)[incident_id]

    def slices(self, session: Session, incident_ids: Collection[int], part: Slice) -> dict[int, Page[Row[Any]]]:
        """The same slice of the timeline of each of these incidents, newest first."""
        return part.read_each(session, _of_incidents(), incident_ids)

    def latest(
        self, session: Session, incident_id: int, event_types: Collection[TimelineEventType]
    ) -> TimelineEvent | None:
        """The newest entry of one of these types."""
        query = select(TimelineEvent).where(
            TimelineEvent.incident_id == incident_id, TimelineEvent.event_type.in_(event_types)
        )
        return session.scalars(query.order_by(TimelineEvent.id.desc()).limit(1)).one_or_none()

    def first_since(
        self,
        session: Session,
        incident_id: int,
        event_types: Collection[TimelineEventType],
        *,
        since: Collection[TimelineEventType],
    ) -> TimelineEvent | None:
        """The oldest entry of one of these types after the newest of the types `since`, else of all."""
        of = TimelineEvent
        newest = select(func.max(of.id)).where(of.incident_id == incident_id, of.event_type.in_(since))
        is_later = of.id > func.coalesce(newest.scalar_subquery(), 0)
        query = select(of).where(of.incident_id == incident_id, of.event_type.in_(event_types), is_later)
        return session.scalars(query.order_by(of.id).limit(1)).one_or_none()


@cache
def _of_incidents() -> Select[Any]:
    of = TimelineEvent
    wide = (of.description, of.metadata_)
    return sliced_each(select(*columns_of(of)), of.id, *wide, parent=of.incident_id, newest_first=True)


crud_timeline = CRUDTimeline(TimelineEvent)
