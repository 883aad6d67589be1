"""Counts guesses of secrets in the database, exactly for all processes, and slows them down.

A guess is counted before the secret is checked, in a transaction of its own, so that guesses made side by side count
as well. A right one is given back.

Nobody can lock the owner of an account out: a sender from which a login succeeded before is known for that account,
and what it tries is counted apart. So is each other known sender. Unknown senders share one count.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

import structlog
from sqlalchemy.orm import Session

from app.core.errors import TooManyRequests
from app.core.fingerprint import Fingerprints
from app.crud import crud_guess, crud_known_sender
from app.crud.clock import now
from app.db.session import Database
from app.models import User
from app.services.accounts.guess import LIMITS, Rule

log = structlog.get_logger()

KNOWN, KNOWN_FOR = "known", timedelta(days=90)  # since the last login
SHOWN = 12  # characters of a fingerprint in the log
OF_OWNERS = ("login", "password_check")  # what the owner of an account tries as such


@dataclass(frozen=True, slots=True)
class Guesses:
    """The parts of this installation that counting needs."""

    database: Database
    fingerprints: Fingerprints
    is_enabled: bool


@dataclass(frozen=True, slots=True)
class Count:
    """One count: its key in the database, and its rule."""

    key: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class Guess:
    """A guess that is counted: by whom, and where. Everybody locks counts in the order of their keys."""

    by: Guesses
    sender: str
    counts: tuple[Count, ...]
    is_known: bool


def begin(guesses: Guesses, action: str, *, sender: str, account: str = "") -> Guess:
    """Count a guess of a sender, before the secret is checked. Raises TooManyRequests, which counts nothing.

    `account` is an address, or the id of a user who is logged in. Whether it exists makes no difference.
    """
    if not guesses.is_enabled:
        return Guess(guesses, sender, (), is_known=False)
    with guesses.database.transaction() as session:
        made = _planned(session, guesses, action, sender=sender, account=account.casefold())
        at = now(session)
        for count in made.counts:
            _take(session, action, count, at=at)
    return made


def succeeded(session: Session, guess: Guess | None) -> None:
    """The secret was right: the guess no longer counts. What a known sender tried before is forgotten.

    Unknown senders only get their own guess back. Else each success of one would give free guesses to the others.
    """
    if guess is None:
        return
    if guess.is_known:
        crud_guess.forget(session, [count.key for count in guess.counts])
        return
    for count in guess.counts:
        crud_guess.give_back(session, count.key, count.rule.delays(), at=now(session))


def proved_owner(session: Session, guess: Guess | None, user: User) -> None:
    """The sender has shown that it is the account's owner: it is known for the account from now on."""
    if guess is None or not guess.counts:
        return
    succeeded(session, guess)
    made, sender = guess.by.fingerprints, guess.sender
    accounts = (user.email.casefold(), str(user.id))
    crud_guess.forget(session, [made.of(action, account, sender) for action in OF_OWNERS for account in accounts])
    keys = [made.of(KNOWN, account, sender) for account in accounts]
    crud_known_sender.remember(session, sorted(keys), forgotten_at=now(session) + KNOWN_FOR)


def forget_old(session: Session) -> int:
    """Delete what is forgotten: counts and known senders. Returns how many."""
    at = now(session)
    return crud_guess.delete_forgotten(session, at=at) + crud_known_sender.delete_forgotten(session, at=at)


def _planned(session: Session, guesses: Guesses, action: str, *, sender: str, account: str) -> Guess:
    """The guess, and which counts it belongs to."""
    made, limits = guesses.fingerprints, LIMITS[action]
    by_sender = Count(made.of(action, "", sender), limits.sender)
    if limits.account is None:
        return Guess(guesses, sender, (by_sender,), is_known=False)
    if crud_known_sender.is_known(session, made.of(KNOWN, account, sender)):
        own = Count(made.of(action, account, sender), limits.account)
        return Guess(guesses, sender, (own,), is_known=True)
    by_account = Count(made.of(action, account), limits.account)
    in_order = sorted((by_account, by_sender), key=lambda count: count.key)
    return Guess(guesses, sender, tuple(in_order), is_known=False)


def _take(session: Session, action: str, count: Count, *, at: datetime) -> None:
    """Count, or raise TooManyRequests while the last delay lasts."""
    delays, forgotten_after = count.rule.delays(), count.rule.forgotten_after
    guesses = crud_guess.count(session, count.key, delays, forgotten_after=forgotten_after, at=at)
    if guesses is None:
        wait = ceil((crud_guess.blocked_until(session, count.key) - at).total_seconds())
        raise TooManyRequests("Too many attempts. Wait a moment, then try again.", retry_after_seconds=max(1, wait))
    if seconds := count.rule.delay(guesses).total_seconds():
        log.warning("guesses_slowed_down", action=action, guesses=guesses, seconds=seconds, by=count.key[:SHOWN])
