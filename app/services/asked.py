"""What one of the requests that share a transaction asks for."""

from typing import Generic, NamedTuple, TypeVar

from app.models import User

Wanted = TypeVar("Wanted")


class Asked(NamedTuple, Generic[Wanted]):
    """Who asks for what, and in which trace."""

    user: User
    wanted: Wanted
    traceparent: str | None = None
