"""Circuit breakers: a provider that keeps failing is not called for a while, then probed with one message."""

from dataclasses import dataclass, field
from threading import Lock
from typing import Any

OPENS_AFTER = 5  # different messages that failed in a row: one message that fails often says little about its provider
FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 15.0
DOUBLINGS = 10  # more than the longest pause takes: after hours of failures the power would fit in no float
SMTP_CLOSES = 421


def says_later(status_code: int | None) -> bool:
    """True for an answer about one message only: 408 or 429 by HTTP, 4yz by SMTP except 421 (server closing)."""
    return status_code is not None and 400 <= status_code < 500 and status_code != SMTP_CLOSES


@dataclass(slots=True)
class _State:
    failed: set[int] = field(default_factory=set)
    pauses: int = 0
    closed_until: float = 0.0
    is_probing: bool = False
    last_error: str | None = None

    @property
    def is_open(self) -> bool:
        return self.pauses > 0


class Breakers:
    """The breakers of one worker, one for each provider of a channel. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._states: dict[tuple[str, str], _State] = {}
        self._lock = Lock()

    def wait_seconds(self, channel: str, provider: str, *, at: float) -> float:
        """0 if a message may be tried, else the seconds until the provider may be called again."""
        with self._lock:
            state = self._states.get((channel, provider))
            if state is None or not state.is_open:
                return 0.0
            if at < state.closed_until:
                return state.closed_until - at
            # A probe may end without a result, if its page was cancelled meanwhile. After a pause there is another.
            state.is_probing, state.closed_until = True, at + FIRST_PAUSE_SECONDS
            return 0.0

    def record(self, channel: str, provider: str, message_id: int, *, error: str | None, at: float) -> bool:
        """Count how an attempt ended. Returns True if this opened or closed the breaker."""
        with self._lock:
            state = self._states.setdefault((channel, provider), _State())
            was_open = state.is_open
            if error is None:
                del self._states[channel, provider]
                return was_open
            state.failed.add(message_id)
            state.last_error = error[:200]
            if was_open and not state.is_probing:
                return False
            if was_open or len(state.failed) >= OPENS_AFTER:
                pause = min(FIRST_PAUSE_SECONDS * 2 ** min(state.pauses, DOUBLINGS), LONGEST_PAUSE_SECONDS)
                state.pauses += 1
                state.closed_until, state.is_probing = at + pause, False
            return state.is_open and not was_open

    def report(self) -> dict[str, Any]:
        """The providers that failed last, by channel, for the operator."""
        with self._lock:
            report: dict[str, Any] = {}
            for (channel, provider), state in self._states.items():
                words = {"state": "open" if state.is_open else "closed", "failing_messages": len(state.failed)}
                report.setdefault(channel, {})[provider] = {**words, "last_error": state.last_error}
            return report
