"""Circuit breakers: a provider that keeps failing is not called for a while, then probed with one message."""

from collections.abc import Callable, Collection, Iterable
from itertools import islice
from threading import Lock
from typing import Any

from app.services.delivery.breaker_state import FIRST_PAUSE_SECONDS, IDLE_SECONDS, LONGEST_PAUSE_SECONDS, Opened, State
from app.services.delivery.held import Due, Held, Key, is_of

OPENS_AFTER = 5  # different messages that failed in a row: one message that fails often says little about its provider
MOST_PROVIDERS = 500  # people supply the hosts of webhooks
LONGEST_NAME = 255
SMTP_CLOSES = 421


def says_later(status_code: int | None) -> bool:
    """True for an answer about one message only: 408 or 429 by HTTP, 4yz by SMTP except 421 (server closing)."""
    return status_code is not None and 400 <= status_code < 500 and status_code != SMTP_CLOSES


class Breakers:
    """The breakers of one worker, one for each provider of a channel. Times are seconds of a monotonic clock.

    `on_move` is called, from any thread, when a breaker opens, closes or renews its pause.
    """

    def __init__(self) -> None:
        self.on_move: Callable[[], object] = lambda: None
        self._states: dict[Key, State] = {}
        self._moved: set[Key] = set()
        self._reset_at: dict[tuple[str, str | None], float] = {}
        self._held = Held(LONGEST_PAUSE_SECONDS)
        self._freed: dict[int, Due] = {}
        self._lock = Lock()

    def wait_seconds(self, channel: str, provider: str, *, at: float) -> float:
        """0 if a message may be tried, else the seconds until the provider may be called again."""
        with self._lock:
            state = self._states.get(_key(channel, provider))
            if state is None or not state.is_open:
                return 0.0
            if at < state.closed_until:
                return state.closed_until - at
            # A probe may end without a result, if its page was cancelled meanwhile. After a pause there is another.
            state.is_probing, state.closed_until = True, at + FIRST_PAUSE_SECONDS
            return 0.0

    def record(
        self,
        channel: str,
        provider: str,
        message_id: int,
        *,
        error: str | None,
        at: float,
        began_at: float | None = None,
    ) -> bool:
        """Count how an attempt ended, unless it failed and began before the last reset.

        Returns True if this opened or closed the breaker.
        """
        key = _key(channel, provider)
        with self._lock:
            was_open = self._is_open(key)
            is_late = error is not None and self._was_reset(key, since=began_at)
            has_moved = not is_late and self._record(key, message_id, error, at)
            is_open = self._is_open(key)
        if has_moved:
            self.on_move()
        return is_open != was_open

    def reset(self, channel: str, provider: str | None, *, at: float) -> list[Key]:
        """Close the breakers of a channel, or that of one provider, and forget their failures.

        Returns those that were open.
        """
        with self._lock:
            self._reset_at = {one: when for one, when in self._reset_at.items() if at - when < IDLE_SECONDS}
            self._reset_at[channel, provider] = at
            return self._drop([key for key in self._states if is_of(key, channel, provider)])

    def has_freed(self) -> bool:
        """True while `take_freed` has messages to return."""
        return bool(self._freed)

    def take_freed(self, limit: int) -> dict[int, Due]:
        """Some of the messages that waited for a breaker that was closed, with when they are due. Each only once."""
        with self._lock:
            taken = dict(islice(self._freed.items(), limit))
            for message_id in taken:
                del self._freed[message_id]
            return taken

    def hold(self, waiting: Iterable[tuple[Key, int, Due]], *, asked_at: float) -> dict[int, Due]:
        """Remember messages that were put off. Returns those whose breaker has closed since `asked_at`."""
        with self._lock:
            missed = {}
            for key, message_id, due in waiting:
                if self._is_open(_key(*key)):
                    self._held.add(_key(*key), message_id, due, at=asked_at)
                else:
                    missed[message_id] = due
            return missed

    def restore(self, key: Key, opened: Opened) -> None:
        """Open a breaker as it was before a restart. What this worker has found out itself counts more.

        The first message probes at once: whoever stored the breaker may have another network. If it fails, the next
        pause is as long as it would have been without the restart.
        """
        with self._lock:
            self._states.setdefault(
                _key(*key),
                State(
                    failed_before=opened.failing_messages,
                    pauses=opened.pauses,
                    opened_at=opened.opened_at,
                    closed_until=opened.next_probe_at,
                    failed_at=opened.next_probe_at,
                    last_error=opened.last_error,
                ),
            )

    def forget_idle(self, at: float) -> list[Key]:
        """Forget the providers that nothing was sent to for long. Returns those whose breaker was open."""
        with self._lock:
            self._held.forget_old(at)
            return self._drop([key for key, state in self._states.items() if state.is_idle(at)])

    def take_moved(self) -> dict[Key, Opened | None]:
        """The breakers that opened, closed or renewed their pause since this was last called. None: it is closed."""
        with self._lock:
            moved, self._moved = self._moved, set()
            states = {key: self._states.get(key) for key in sorted(moved)}
            return {key: state.opened() if state and state.is_open else None for key, state in states.items()}

    def put_back(self, moved: Collection[Key]) -> None:
        """Let the next `take_moved` return these as well."""
        with self._lock:
            self._moved.update(moved)

    def opened(self) -> dict[Key, Opened]:
        """The breakers that are open."""
        with self._lock:
            return {key: state.opened() for key, state in self._states.items() if state.is_open}

    def report(self) -> dict[str, Any]:
        """The providers that failed last, by channel, for the operator."""
        with self._lock:
            report: dict[str, Any] = {}
            for (channel, provider), state in self._states.items():
                words = {"state": "open" if state.is_open else "closed", "failing_messages": state.failing_messages}
                report.setdefault(channel, {})[provider] = {**words, "last_error": state.last_error}
            return report

    def _record(self, key: Key, message_id: int, error: str | None, at: float) -> bool:
        """Returns True if the breaker opened, closed, or renewed its pause."""
        if error is None:
            return bool(self._drop([key] if key in self._states else []))
        state = self._states.get(key) or self._new(key)
        state.count(message_id, error, at)
        is_due = state.is_probing if state.is_open else len(state.failed) >= OPENS_AFTER
        if is_due:
            state.pause(at)
            self._moved.add(key)
        return is_due

    def _is_open(self, key: Key) -> bool:
        return key in self._states and self._states[key].is_open

    def _new(self, key: Key) -> State:
        """A provider that failed for the first time. The one that failed longest ago makes room for it."""
        if len(self._states) >= MOST_PROVIDERS:
            self._drop([min(self._states, key=lambda one: (self._states[one].is_open, self._states[one].failed_at))])
        return self._states.setdefault(key, State())

    def _drop(self, keys: Iterable[Key]) -> list[Key]:
        """Forget providers. Returns those whose breaker was open: what waited for them is freed."""
        were_open = [key for key in keys if self._states.pop(key).is_open]
        for key in were_open:
            self._freed |= self._held.take(*key)
        self._moved.update(were_open)
        return were_open

    def _was_reset(self, key: Key, *, since: float | None) -> bool:
        times = [when for one in ((key[0], None), key) if (when := self._reset_at.get(one)) is not None]
        return since is not None and any(when >= since for when in times)


def _key(channel: str, provider: str) -> Key:
    return channel, provider[:LONGEST_NAME]
