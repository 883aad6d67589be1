"""Comments on incidents."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase
from app.crud.pagination import Page, Slice
from app.models import IncidentComment


class CRUDComment(CRUDBase[IncidentComment]):
    def slice(self, session: Session, incident_id: int, part: Slice) -> Page[IncidentComment]:
        query = select(IncidentComment).where(IncidentComment.incident_id == incident_id)
        return part.read(session, query, IncidentComment.id, IncidentComment.content, newest_first=False)

    def by_ids(self, session: Session, ids: Sequence[int]) -> Sequence[IncidentComment]:
        return session.scalars(select(IncidentComment).where(IncidentComment.id.in_(ids))).all()

    def newest(self, session: Session, incident_id: int) -> IncidentComment | None:
        query = select(IncidentComment).where(IncidentComment.incident_id == incident_id)
        return session.scalars(query.order_by(IncidentComment.id.desc()).limit(1)).one_or_none()


crud_comment = CRUDComment(IncidentComment)
