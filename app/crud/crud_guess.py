"""The counts of guesses."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ARRAY, Float, bindparam, delete, select, text
from sqlalchemy.orm import Session

from app.crud.base import CRUDBase, affected
from app.models import GuessCount

# Decides and counts with one statement. Whoever comes second waits for the first one's commit, and sees its count.
COUNT = text("""
    INSERT INTO guess_counts (key, guesses, blocked_until, forgotten_at)
    VALUES (:key, 1, :at + make_interval(secs => (:delays)[1]), :at + :forgotten_after)
    ON CONFLICT (key) DO UPDATE SET
        guesses = CASE WHEN guess_counts.forgotten_at <= :at THEN 1 ELSE guess_counts.guesses + 1 END,
        blocked_until = :at + make_interval(secs => (:delays)[
            CASE WHEN guess_counts.forgotten_at <= :at THEN 1 ELSE least(guess_counts.guesses + 1, :longest) END
        ]),
        forgotten_at = :at + :forgotten_after
    WHERE guess_counts.blocked_until <= :at
    RETURNING guesses
""").bindparams(bindparam("delays", type_=ARRAY(Float)))
GIVE_BACK = text("""
    UPDATE guess_counts SET
        guesses = guesses - 1,
        blocked_until = least(blocked_until, :at + make_interval(secs => (:delays)[least(guesses - 1, :longest)]))
    WHERE key = :key AND guesses > 0
""").bindparams(bindparam("delays", type_=ARRAY(Float)))


class CRUDGuess(CRUDBase[GuessCount]):
    def count(
        self, session: Session, key: str, delays: Sequence[float], *, forgotten_after: timedelta, at: datetime
    ) -> int | None:
        """Count one more guess. Returns how many there are now, or None if none may be made yet.

        `delays` are the seconds after one guess, two guesses, and so on; the last holds for all more.
        """
        given = {"key": key, "at": at, "forgotten_after": forgotten_after, "longest": len(delays), "delays": delays}
        guesses: int | None = session.execute(COUNT, given).scalar()
        return guesses

    def blocked_until(self, session: Session, key: str) -> datetime:
        """Until when nobody may guess. The count exists."""
        return session.scalars(select(GuessCount.blocked_until).where(GuessCount.key == key)).one()

    def give_back(self, session: Session, key: str, delays: Sequence[float], *, at: datetime) -> None:
        """Take one guess back."""
        session.execute(GIVE_BACK, {"key": key, "at": at, "longest": len(delays), "delays": delays})

    def forget(self, session: Session, keys: Sequence[str]) -> None:
        """Begin to count again."""
        session.execute(delete(GuessCount).where(GuessCount.key.in_(keys)))

    def delete_forgotten(self, session: Session, *, at: datetime) -> int:
        """Delete the counts that begin again. Returns how many."""
        return affected(session.execute(delete(GuessCount).where(GuessCount.forgotten_at <= at)))


crud_guess = CRUDGuess(GuessCount)
