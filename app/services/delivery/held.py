"""The messages that a worker has put off because their provider may not be called, until its breaker closes."""

from collections import deque
from datetime import datetime

Key = tuple[str, str]  # a channel and its provider
Due = datetime


def is_of(key: Key, channel: str, provider: str | None) -> bool:
    """True if a key is of this channel and, if one is given, of this provider."""
    return key[0] == channel and provider in {None, key[1]}


class Held:
    """Messages by their provider, each for so many seconds. Not safe to share between threads."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._messages: dict[Key, deque[tuple[float, int, Due]]] = {}

    def add(self, key: Key, message_id: int, due: Due, *, at: float) -> None:
        """Remember a message and when it is due."""
        self._messages.setdefault(key, deque()).append((at, message_id, due))

    def take(self, channel: str, provider: str | None) -> dict[int, Due]:
        """Forget the messages of a channel or of one provider, and return them with when they are due."""
        found = [key for key in self._messages if is_of(key, channel, provider)]
        return {id_: due for key in found for _, id_, due in self._messages.pop(key)}

    def forget_old(self, at: float) -> None:
        """Forget the messages whose seconds are over."""
        for key, messages in list(self._messages.items()):
            while messages and messages[0][0] < at - self._seconds:
                messages.popleft()
            if not messages:
                del self._messages[key]
