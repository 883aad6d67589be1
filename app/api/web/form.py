"""Reads what the pages' forms send."""

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends, Request
from pydantic import StringConstraints, TypeAdapter, ValidationError

from app.api.validation_words import words_for
from app.core.errors import InvalidInput, PermissionDenied
from app.schemas.types import Storable

MAX_COMMENT = 1_000  # characters: percent-encoded up to 12,000 bytes, and anybody may post up to 16 KiB
MAX_FORM_BYTES = 32 * 1024  # for a password that is typed twice
MAX_FIELDS = 20

_comment: TypeAdapter[str] = TypeAdapter(Annotated[str, StringConstraints(max_length=MAX_COMMENT), Storable])


@dataclass(frozen=True, slots=True)
class ActionForm:
    """The form of a page: the minutes to snooze (0 if absent), and an optional comment."""

    minutes: int
    comment: str | None


def fields_of(body: bytes) -> dict[str, str]:
    """The first value of each field of a form; none if the body is not a form."""
    try:
        fields = parse_qs(body[:MAX_FORM_BYTES].decode("utf-8", "replace"), max_num_fields=MAX_FIELDS)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def minutes_of(given: str) -> int:
    """A number of minutes; 0 for anything else."""
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 6 else 0


def comment_of(given: str) -> str | None:
    """A comment with plain line breaks; None for an empty one. Raises InvalidInput for one that cannot be stored."""
    text = given.replace("\r\n", "\n").strip()
    if not text:
        return None
    try:
        return _comment.validate_python(text)
    except ValidationError as error:
        raise InvalidInput(words_for(error.errors()[0], "The comment"), pointer="comment") from error


async def get_action_form(request: Request) -> ActionForm:
    """The values of the form on an incident's page."""
    fields = fields_of(await request.body())
    return ActionForm(minutes_of(fields.get("minutes", "")), comment_of(fields.get("comment", "")))


async def require_same_origin(request: Request) -> None:
    """Raise PermissionDenied for a request from another site's page. https://www.w3.org/TR/fetch-metadata/"""
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise PermissionDenied("Another site sent this. Nothing was changed. Open the link and press the button there.")


Form = Annotated[ActionForm, Depends(get_action_form)]
