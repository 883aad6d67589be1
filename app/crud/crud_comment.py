"""Comments on incidents."""

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase
from app.crud.pagination import Page, Slice, columns_of, sliced_each
from app.models import IncidentComment


class CRUDComment(CRUDBase[IncidentComment]):
    def slice(self, session: Session, incident_id: int, part: Slice) -> Page[Row[Any]]:
        return self.slices(session, [incident_id], part)[incident_id]

    def slices(self, session: Session, incident_ids: Collection[int], part: Slice) -> dict[int, Page[Row[Any]]]:
        """The same slice of the comments on each of these incidents, oldest first."""
        return part.read_each(session, _of_incidents(), incident_ids)

    def by_ids(self, session: Session, ids: Sequence[int]) -> Sequence[IncidentComment]:
        return session.scalars(select(IncidentComment).where(IncidentComment.id.in_(ids))).all()

    def newest(self, session: Session, incident_id: int) -> IncidentComment | None:
        query = select(IncidentComment).where(IncidentComment.incident_id == incident_id)
        return session.scalars(query.order_by(IncidentComment.id.desc()).limit(1)).one_or_none()


@cache
def _of_incidents() -> Select[Any]:
    of = IncidentComment
    return sliced_each(select(*columns_of(of)), of.id, of.content, parent=of.incident_id, newest_first=False)


crud_comment = CRUDComment(IncidentComment)
