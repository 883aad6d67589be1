"""Adds people's names to their ids in answers, with one statement for each answer."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from app.crud import crud_user
from app.models import User
from app.schemas.base import NameOf, Read


class Named(NamedTuple):
    """Where a schema has names: pairs of id field and name field, and the fields that hold nested answers."""

    pairs: tuple[tuple[str, str], ...]
    inner: tuple[str, ...]


def put_names(session: Session, answers: Sequence[Any]) -> None:
    """Set the display name beside each user's id. Deleted users keep their name."""
    # Straight into their fields: a record of an incident has dozens, and assigning to a model takes ten times as long.
    places = [(vars(read), of, field) for read in _reads(answers) for of, field in named_in(type(read)).pairs]
    ids = {fields[of] for fields, of, _ in places} - {None}
    if not ids:
        return
    names = names_of(session, ids)
    for fields, of, field in places:
        fields[field] = names.get(fields[of])


def names_of(session: Session, ids: set[int]) -> dict[int, str]:
    """The display name of each user, deleted ones included. Users already in the session need no statement."""
    held = {user.id: user.display_name for user in session.identity_map.values() if isinstance(user, User)}
    missing = ids - held.keys()
    return {id_: held[id_] for id_ in ids & held.keys()} | (crud_user.names(session, missing) if missing else {})


@cache
def named_in(schema: type[Read]) -> Named:
    """The name fields of a schema."""
    marks = {name: [m for m in field.metadata if isinstance(m, NameOf)] for name, field in schema.model_fields.items()}
    pairs = tuple((mark.field, name) for name, found in marks.items() for mark in found)
    inner = tuple(name for name, field in schema.model_fields.items() if _holds_reads(field.annotation))
    return Named(pairs, inner)


def _holds_reads(annotation: Any) -> bool:
    inner = [annotation, *getattr(annotation, "__args__", ())]
    return any(isinstance(kind, type) and issubclass(kind, Read) for kind in inner)


def _reads(answers: Sequence[Any]) -> list[Read]:
    """The answers that may have names, and those nested in them."""
    found: list[Read] = []
    left = list(answers)
    while left:
        answer = left.pop()
        if isinstance(answer, list):
            left += answer
        elif isinstance(answer, Read):
            found.append(answer)
            left += [getattr(answer, name) for name in named_in(type(answer)).inner]
    return found
