"""Turns a violated constraint into the domain's error, by the constraint's name."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError

from app.core.errors import DomainError


@contextmanager
def violations(known: dict[str, DomainError]) -> Iterator[None]:
    """Raise the domain error for the constraint violated inside the block. Others pass unchanged."""
    try:
        yield
    except IntegrityError as error:
        diagnostics = getattr(error.orig, "diag", None)
        name = getattr(diagnostics, "constraint_name", None)
        if name in known:
            raise known[name] from error
        raise
