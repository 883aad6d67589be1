"""What every repository does: get, add, apply changes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import CursorResult, Result, delete
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from app.core.bounded_json import is_same
from app.crud import bulk
from app.db.base_class import Base

Model = TypeVar("Model", bound=Base)


def affected(result: Result[*tuple[Any, ...]]) -> int:
    """How many rows an UPDATE or DELETE touched."""
    return cast("CursorResult[*tuple[Any, ...]]", result).rowcount


class CRUDBase(Generic[Model]):
    """Generic statements on one table. Nothing here commits."""

    def __init__(self, model: type[Model]) -> None:
        self.model = model

    def get(self, session: Session, id_: int) -> Model | None:
        return session.get(self.model, id_)

    def add(self, session: Session, obj: Model) -> Model:
        """Insert and flush, so that constraint violations surface here."""
        session.add(obj)
        session.flush()
        return obj

    def stage(self, session: Session, obj: Model) -> Model:
        """Insert with the next flush."""
        session.add(obj)
        return obj

    def add_all(self, session: Session, objs: Sequence[Model]) -> None:
        """Insert many with one statement for each batch."""
        session.add_all(objs)
        session.flush()

    def insert_all(self, session: Session, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows, as attribute -> value, with one statement, without loading them as objects."""
        bulk.insert_rows(session, self.model, rows)

    def delete(self, session: Session, id_: int) -> None:
        """Delete a row, and what its foreign keys take along."""
        session.execute(delete(self.model).where(self.model.id == id_))  # type: ignore[attr-defined]  # each table has one

    def apply(self, session: Session, obj: Model, changes: dict[str, Any], *, at: datetime) -> dict[str, Any]:
        """Set the given attributes. Returns those that changed, as attribute -> old value."""
        old = {name: getattr(obj, name) for name, value in changes.items() if _differ(getattr(obj, name), value)}
        for name in old:
            setattr(obj, name, changes[name])
            flag_modified(obj, name)
        if old:
            obj.updated_at = at  # type: ignore[attr-defined]  # every table that is updated has Timestamps
        session.flush()
        return old


def _differ(old: Any, new: Any) -> bool:
    if isinstance(old, (dict, list)) and isinstance(new, (dict, list)):
        return not is_same(old, new)
    return bool(old != new)
