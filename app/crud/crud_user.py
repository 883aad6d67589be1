"""Users, their sessions and their tokens."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Integer, String, Uuid, any_, bindparam, cast, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, distinct_on
from sqlalchemy.orm import Session, contains_eager

from app.crud.base import CRUDBase, affected
from app.crud.pagination import Page, Slice
from app.crud.wakeup import wake
from app.models import AuthSession, PasswordRecovery, PasswordResetToken, RefreshToken, User
from app.models.user import display_name

PRESENT = User.deleted_at.is_(None)
FIRST_ADMIN_LOCK = 0x1A5ADA
ACTIVE = User.is_active & PRESENT
LOCAL_PART = func.split_part(User.email, "@", 1, type_=String())

# Built once: building it for each batch of requests takes as long as running it.
BY_SESSIONS = (
    select(AuthSession.id, User)
    .join(AuthSession, AuthSession.user_id == User.id)
    .where(AuthSession.id == any_(bindparam("session_ids", type_=ARRAY(Uuid))))
    .where(AuthSession.revoked_at.is_(None), ACTIVE)
)


class CRUDUser(CRUDBase[User]):
    """Users. Methods leave out deleted users unless they say otherwise."""

    def get(self, session: Session, id_: int) -> User | None:
        return session.scalar(select(User).where(User.id == id_, PRESENT))

    def get_for_update(self, session: Session, id_: int) -> User | None:
        """Read it again: the session's copy may be outdated."""
        query = select(User).where(User.id == id_, PRESENT).with_for_update(key_share=True)
        return session.scalar(query, execution_options={"populate_existing": True})

    def by_email(self, session: Session, email: str) -> User | None:
        """Case does not count, by the database's rules: Python's differ for some letters (Σ, İ)."""
        return session.scalar(select(User).where(func.lower(User.email) == func.lower(email), PRESENT))

    def owner_of(self, session: Session, email: str) -> User | None:
        """The account that has confirmed this address. Case is ignored."""
        return session.scalar(
            select(User).where(func.lower(User.email) == func.lower(email), PRESENT, User.is_address_proved)
        )

    def former_owner_of(self, session: Session, email: str) -> User | None:
        """The deleted account that had confirmed this address; of several, the last one. Case is ignored."""
        return session.scalar(
            select(User)
            .where(func.lower(User.email) == func.lower(email), ~PRESENT, User.is_address_proved)
            .order_by(User.deleted_at.desc(), User.id.desc())
            .limit(1)
        )

    def owners_of(self, session: Session, emails: Sequence[str]) -> dict[str, User]:
        """The user who has proved each address, by the address as given; else the deleted user who had proved it last.

        Case is ignored, as in `owner_of` and `former_owner_of`.
        """
        if not emails:
            return {}
        given = func.unnest(cast(list(emails), ARRAY(String))).table_valued("email").render_derived()
        query = (
            select(given.c.email, User)
            .join_from(given, User, func.lower(User.email) == func.lower(given.c.email))
            .where(User.is_address_proved)
            .ext(distinct_on(given.c.email))
            .order_by(given.c.email, PRESENT.desc(), User.deleted_at.desc(), User.id.desc())
        )
        return dict(iter(session.execute(query)))

    def by_session(self, session: Session, user_id: int, session_id: UUID) -> User | None:
        """The active user of a login session that was not revoked."""
        return session.scalar(
            select(User)
            .join(AuthSession, AuthSession.user_id == User.id)
            .where(User.id == user_id, AuthSession.id == session_id, AuthSession.revoked_at.is_(None), ACTIVE)
        )

    def by_sessions(self, session: Session, session_ids: Sequence[UUID]) -> dict[UUID, User]:
        """The active user of each of these login sessions that was not revoked."""
        return {row[0]: row[1] for row in session.execute(BY_SESSIONS, {"session_ids": list(session_ids)})}

    def slice(self, session: Session, part: Slice, *, is_address_proved: bool | None = None) -> Page[User]:
        query = select(User).where(PRESENT)
        if is_address_proved is not None:
            query = query.where(User.is_address_proved.is_(is_address_proved))
        return Page(session.scalars(part.of(query, User.id, newest_first=False)))

    def present(self, session: Session, ids: Sequence[int]) -> Sequence[User]:
        return session.scalars(select(User).where(User.id.in_(ids), PRESENT).order_by(User.id)).all()

    def active(self, session: Session, ids: Sequence[int]) -> Sequence[User]:
        if not ids:
            return []
        return session.scalars(select(User).where(User.id.in_(ids), ACTIVE).order_by(User.id)).all()

    def active_or_admin(self, session: Session, ids: Sequence[int]) -> Sequence[User]:
        """Those of these users who are active, and all active administrators."""
        is_wanted = User.is_superuser | (User.id == any_(cast(list(ids), ARRAY(Integer))))
        return session.scalars(select(User).where(ACTIVE, is_wanted).order_by(User.id)).all()

    def by_ids(self, session: Session, ids: Sequence[int]) -> Sequence[User]:
        """Users by their ids, deleted and inactive ones included."""
        return session.scalars(select(User).where(User.id.in_(ids)).order_by(User.id)).all()

    def names(self, session: Session, ids: Collection[int]) -> dict[int, str]:
        """The display name of each of these users, also of those who left."""
        query = select(User.id, User.full_name, User.email).where(User.id.in_(ids))
        return {row.id: display_name(row.full_name, row.email) for row in session.execute(query)}

    def search(self, session: Session, words: Sequence[str], part: Slice) -> Page[User]:
        """The active users whose name or address has all of these words."""
        found = [
            or_(User.full_name.icontains(w, autoescape=True), LOCAL_PART.icontains(w, autoescape=True)) for w in words
        ]
        return Page(session.scalars(part.of(select(User).where(ACTIVE, *found), User.id, newest_first=False)))

    def all_active(self, session: Session) -> Sequence[User]:
        return session.scalars(select(User).where(ACTIVE).order_by(User.id)).all()

    def active_admins(self, session: Session) -> Sequence[User]:
        return session.scalars(select(User).where(ACTIVE, User.is_superuser).order_by(User.id)).all()

    def lock_first_admin(self, session: Session) -> None:
        """Let one process at a time look for the first administrator, until the end of the transaction."""
        session.execute(select(func.pg_advisory_xact_lock(FIRST_ADMIN_LOCK)))

    def lock_active_admins(self, session: Session) -> Sequence[int]:
        """The ids of all active admins, locked in order, so that two cannot remove each other at once."""
        return session.scalars(
            select(User.id).where(ACTIVE, User.is_superuser).order_by(User.id).with_for_update(key_share=True)
        ).all()


class CRUDRefreshToken(CRUDBase[RefreshToken]):
    def get_for_update(self, session: Session, token_hash: str) -> RefreshToken | None:
        """The token with its session and user, locked against a second use at the same moment."""
        return session.scalar(
            select(RefreshToken)
            .join(RefreshToken.session)
            .join(AuthSession.user)
            .where(RefreshToken.token_hash == token_hash)
            .options(contains_eager(RefreshToken.session).contains_eager(AuthSession.user))
            .with_for_update(of=RefreshToken)
        )


class CRUDPasswordRecovery(CRUDBase[PasswordRecovery]):
    def add(self, session: Session, obj: PasswordRecovery) -> PasswordRecovery:
        """Insert a request, and wake the workers when the transaction is committed."""
        wake(session, "plan")
        return super().add(session, obj)

    def take(self, session: Session, *, limit: int) -> Sequence[PasswordRecovery]:
        """The oldest requests that no other worker has taken. They end with this transaction."""
        rows = session.scalars(
            select(PasswordRecovery).order_by(PasswordRecovery.id).limit(limit).with_for_update(skip_locked=True)
        ).all()
        session.execute(delete(PasswordRecovery).where(PasswordRecovery.id.in_([row.id for row in rows])))
        return rows


class CRUDPasswordResetToken(CRUDBase[PasswordResetToken]):
    def by_hash(self, session: Session, token_hash: str) -> PasswordResetToken | None:
        return session.scalar(select(PasswordResetToken).where(PasswordResetToken.token_hash == token_hash))

    def get_for_update(self, session: Session, token_hash: str) -> PasswordResetToken | None:
        return session.scalar(
            select(PasswordResetToken).where(PasswordResetToken.token_hash == token_hash).with_for_update()
        )

    def spend_all_of(self, session: Session, user_id: int, *, at: datetime) -> None:
        session.execute(
            update(PasswordResetToken)
            .where(PasswordResetToken.user_id == user_id, PasswordResetToken.used_at.is_(None))
            .values(used_at=at)
        )

    def delete_expired(self, session: Session, *, before: datetime) -> int:
        result = session.execute(delete(PasswordResetToken).where(PasswordResetToken.expires_at < before))
        return affected(result)


crud_user = CRUDUser(User)
crud_refresh_token = CRUDRefreshToken(RefreshToken)
crud_password_recovery = CRUDPasswordRecovery(PasswordRecovery)
crud_password_reset_token = CRUDPasswordResetToken(PasswordResetToken)
