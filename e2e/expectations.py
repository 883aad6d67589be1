"""What a check expects. A failure says what was there instead."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

DEADLINE_SECONDS = 60
POLL_SECONDS = 0.05

Found = TypeVar("Found")


class Failed(Exception):
    """The service did not do what it should."""


def holds(truth: object, what: str) -> None:
    """Raise Failed unless it is true."""
    if not truth:
        raise Failed(f"expected that {what}")


def same(actual: object, wanted: object, what: str) -> None:
    """Raise Failed unless the two are equal."""
    if actual != wanted:
        raise Failed(f"{what} is {actual!r} instead of {wanted!r}")


def has(answer: dict[str, Any], **fields: object) -> None:
    """Raise Failed unless the answer has these fields with these values."""
    for name, wanted in fields.items():
        holds(name in answer, f"{name} is in the answer")
        same(answer[name], wanted, name)


def lacks(answer: dict[str, Any], *words: str) -> None:
    """Raise Failed if a field's name has one of the words in it."""
    for name in answer:
        holds(not any(word in name for word in words), f"{name} is not in the answer")


def eventually(look: Callable[[], Found], what: str) -> Found:
    """Look until there is something. Raises Failed after the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := look()):
        holds(time.monotonic() < deadline, f"{what} within {DEADLINE_SECONDS} s")
        time.sleep(POLL_SECONDS)
    return found


def moment(text: str) -> datetime:
    """A time of an answer. Raises Failed unless it is in UTC."""
    parsed = datetime.fromisoformat(text)
    same(parsed.utcoffset(), timedelta(), f"the offset of {text}")
    return parsed
