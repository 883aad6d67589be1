"""Limits what a sender or an account may ask for often: a moving window for each kind, counted in this process.

Guesses of secrets are counted in the database: see `app.services.accounts.guess_service`.
"""

import math
import time

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from app.core.errors import TooManyRequests

PER_ACCOUNT = {"test_message": RateLimitItemPerMinute(3)}
PER_SENDER = {"signup": RateLimitItemPerHour(60), "test_message": RateLimitItemPerMinute(60)}


class RateLimits:
    """The limits of one process. Several processes count separately."""

    def __init__(self, *, is_enabled: bool) -> None:
        self._is_enabled = is_enabled
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def hit(self, action: str, *, sender: str, account: str = "") -> None:
        """Count an attempt. Raises TooManyRequests when there were too many."""
        if not self._is_enabled:
            return
        self._count(PER_SENDER[action], action, sender)
        if action in PER_ACCOUNT:
            self._count(PER_ACCOUNT[action], action, account.casefold())

    def _count(self, limit: RateLimitItem, *key: str) -> None:
        if self._limiter.hit(limit, *key):
            return
        reset_at = self._limiter.get_window_stats(limit, *key).reset_time
        wait = max(1, math.ceil(reset_at - time.time()))
        raise TooManyRequests("Too many attempts. Wait a moment, then try again.", retry_after_seconds=wait)
