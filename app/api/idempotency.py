"""With an `Idempotency-Key`, a handler creates something only once and repeats its first answer."""

import json
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import Header, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.core.errors import InvalidInput
from app.models import User
from app.services.operations import idempotency_service
from app.services.operations.idempotency_service import Request as RepeatableRequest
from app.utils.service_locator import Services

Endpoint = Callable[..., Any]
Handler = TypeVar("Handler", bound=Endpoint)

IDEMPOTENT = "_is_idempotent"
REPLAYED = {"Idempotency-Replayed": "true"}


def idempotent(handler: Handler) -> Handler:
    """Mark a handler that creates something, so that it honours `Idempotency-Key`."""
    setattr(handler, IDEMPOTENT, True)
    return handler


def is_idempotent(handler: Endpoint) -> bool:
    """True if a handler is marked with `idempotent`."""
    return getattr(handler, IDEMPOTENT, False)


async def repeatable_request(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]+$",
            alias="Idempotency-Key",
            description="Makes retries safe: the same key and body within 24 h get the first answer "
            "again, the same key with another body is 409. Any printable ASCII without spaces, such as a UUID.",
        ),
    ] = None,
) -> RepeatableRequest | None:
    if idempotency_key is None:
        return None
    try:
        body = json.dumps(await request.json(), sort_keys=True).encode()
    except ValueError:
        return None  # no body, or not JSON: the next reader reports the error
    except RecursionError as error:
        raise InvalidInput("The body is nested too deeply.", pointer="") from error
    route = f"{request.method} {request.url.path.rstrip('/')}"
    services: Services = request.app.state.services
    return RepeatableRequest(route=route, key=idempotency_key, body_seals=services.auth.tokens.seals(body))


def answer_once(
    session: Session, request: RepeatableRequest, answer: Callable[[], BaseModel], *, user: User, status: int
) -> BaseModel | JSONResponse:
    """The handler's answer, or its first answer if this request came before. Raises IdempotencyKeyReused."""
    row = idempotency_service.claim(session, request, user_id=user.id)
    if row.answer is not None:
        return JSONResponse(row.answer["body"], row.answer["status"], REPLAYED)
    given = answer()
    idempotency_service.keep(session, row, {"status": status, "body": given.model_dump(mode="json")})
    return given
