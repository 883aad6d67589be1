"""Answers a repeated request with the first answer."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from app.core.errors import IdempotencyKeyReused
from app.crud import crud_idempotency_key
from app.crud.clock import now
from app.models import IdempotencyKey

KEPT_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Request:
    """What makes two requests the same: the key, the route and the body.

    The body is known by its seals, one by each signing key: the first is kept, and any of them may have been.
    """

    route: str
    key: str
    body_seals: tuple[str, ...]


def claim(session: Session, request: Request, *, user_id: int) -> IdempotencyKey:
    """The row for the answer; it holds one already if the request came before. Raises IdempotencyKeyReused.

    It is written in the request's own transaction: a failed request leaves nothing behind, and a concurrent repeat
    waits for the first to finish.
    """
    at, seal = now(session), request.body_seals[0]
    row = crud_idempotency_key.claim(
        session, user_id=user_id, route=request.route, key=request.key, request_hash=seal, at=at
    )
    if row.created_at < at - KEPT_FOR:
        crud_idempotency_key.renew(session, row, request_hash=seal, at=at)
    if row.request_hash not in request.body_seals:
        raise IdempotencyKeyReused("This Idempotency-Key was used with another body. Use a new key for a new request.")
    return row


def keep(session: Session, row: IdempotencyKey, answer: dict[str, Any]) -> None:
    """Keep the answer for repetitions."""
    row.answer = answer
    session.flush()


def forget_old(session: Session) -> int:
    """Delete expired answers. Returns how many."""
    return crud_idempotency_key.delete_older(session, before=now(session) - KEPT_FOR)
