"""What a worker knows of one provider that failed: how often, and until when it is not called."""

from dataclasses import dataclass, field

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 15.0
DOUBLINGS = 10  # more than the longest pause takes: after hours of failures the power would fit in no float
IDLE_SECONDS = 900.0  # then whatever waited for the provider has had its last try, and nobody knows how it is
MOST_COUNTED = 1000
LONGEST_ERROR = 200


@dataclass(frozen=True, slots=True)
class Opened:
    """An open breaker. Its times are seconds of the worker's monotonic clock."""

    pauses: int
    opened_at: float
    next_probe_at: float
    failing_messages: int = 0
    last_error: str | None = None
    is_probing: bool = False


@dataclass(slots=True)
class State:
    """What a worker knows of a provider that failed."""

    failed: set[int] = field(default_factory=set)
    failed_before: int = 0  # messages, when the breaker was restored
    pauses: int = 0
    opened_at: float = 0.0
    closed_until: float = 0.0
    failed_at: float = 0.0
    is_probing: bool = False
    last_error: str | None = None

    @property
    def is_open(self) -> bool:
        return self.pauses > 0

    @property
    def failing_messages(self) -> int:
        return min(self.failed_before + len(self.failed), MOST_COUNTED)

    def count(self, message_id: int, error: str, at: float) -> None:
        if len(self.failed) < MOST_COUNTED:
            self.failed.add(message_id)
        self.last_error, self.failed_at = error[:LONGEST_ERROR], at

    def pause(self, at: float) -> None:
        """Open, or renew the pause."""
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(self.pauses, DOUBLINGS), LONGEST_PAUSE_SECONDS)
        self.opened_at = self.opened_at if self.is_open else at
        self.pauses += 1
        self.closed_until, self.is_probing = at + pause, False

    def is_idle(self, at: float) -> bool:
        return at - max(self.failed_at, self.closed_until) > IDLE_SECONDS

    def opened(self) -> Opened:
        return Opened(
            self.pauses, self.opened_at, self.closed_until, self.failing_messages, self.last_error, self.is_probing
        )
