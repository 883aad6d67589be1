"""The settings that the audit log has recorded last."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase
from app.models import RecordedSettings


class CRUDRecordedSettings(CRUDBase[RecordedSettings]):
    def put(self, session: Session, role: str) -> RecordedSettings:
        """The row of a role, created empty if missing, locked: processes that start at once take turns."""
        session.execute(insert(RecordedSettings).values(role=role, shown={}).on_conflict_do_nothing())
        return session.scalars(select(RecordedSettings).filter_by(role=role).with_for_update()).one()

    def keep(self, session: Session, row: RecordedSettings, shown: dict[str, Any]) -> None:
        row.shown = shown
        session.flush()


crud_recorded_settings = CRUDRecordedSettings(RecordedSettings)
