"""API keys."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple

from sqlalchemy import ARRAY, Integer, Select, String, Update, any_, bindparam, or_, select, update
from sqlalchemy.orm import Session

from app.crud import bulk
from app.crud.base import CRUDBase
from app.crud.clock import NOW_COLUMN
from app.crud.pagination import Page, Slice
from app.models import ApiKey, User

USE_NOTED_EVERY = timedelta(minutes=1)
VALID = ApiKey.revoked_at.is_(None)


class FoundKey(NamedTuple):
    """A key with its owner, and the time of the transaction."""

    key: ApiKey
    owner: User
    at: datetime


class CRUDApiKey(CRUDBase[ApiKey]):
    """API keys. Methods leave out revoked ones unless they say otherwise."""

    def by_fingerprints(self, session: Session, fingerprints: Collection[str]) -> dict[str, FoundKey]:
        """Each of these keys, revoked and expired ones included, with its owner, who may be gone."""
        rows = session.execute(_by_fingerprints(), {"fingerprints": list(fingerprints)})
        return {row[0].fingerprint: FoundKey(*row) for row in rows}

    def note_use(self, session: Session, ids: Collection[int], *, at: datetime) -> None:
        """Set when the keys were last used. Waits for nobody: a key that another transaction notes is left to it."""
        session.execute(_noting_use(), {"ids": list(ids), "at": at, "before": at - USE_NOTED_EVERY})

    def slice(self, session: Session, part: Slice, *, owner_id: int | None) -> Page[ApiKey]:
        """Keys, oldest first: of one person, or of everybody."""
        query = select(ApiKey).where(VALID)
        if owner_id is not None:
            query = query.where(ApiKey.created_by == owner_id)
        return Page(session.scalars(part.of(query, ApiKey.id, newest_first=False)))

    def get_for_update(self, session: Session, id_: int) -> ApiKey | None:
        return session.scalar(select(ApiKey).where(ApiKey.id == id_, VALID).with_for_update())

    def lock_all_of(self, session: Session, owner_id: int) -> Sequence[ApiKey]:
        """The keys of a person, locked in order."""
        query = select(ApiKey).where(ApiKey.created_by == owner_id, VALID).order_by(ApiKey.id)
        return session.scalars(query.with_for_update()).all()


@cache
def _by_fingerprints() -> Select[ApiKey, User, datetime]:
    given = bindparam("fingerprints", type_=ARRAY(String))
    query = select(ApiKey, User, NOW_COLUMN).join(User, User.id == ApiKey.created_by)
    return query.where(ApiKey.fingerprint == any_(given))


@cache
def _noting_use() -> Update:
    keys = bulk.table_of(ApiKey)
    long_ago = or_(keys.c.last_used_at.is_(None), keys.c.last_used_at < bindparam("before"))
    ids = bindparam("ids", type_=ARRAY(Integer))
    due = select(keys.c.id).where(keys.c.id == any_(ids), long_ago).with_for_update(skip_locked=True)
    return update(keys).where(keys.c.id.in_(due)).values(last_used_at=bindparam("at"))


crud_api_key = CRUDApiKey(ApiKey)
