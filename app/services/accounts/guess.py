"""Decides how long a secret must not be tried again after a number of guesses."""

from dataclasses import dataclass
from datetime import timedelta

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
QUARTER = 15 * MINUTE


@dataclass(frozen=True, slots=True)
class Rule:
    """The first guesses are free. After them each one doubles the delay, up to the longest.

    The number is forgotten when nothing was tried for a while, at least the longest delay.
    """

    free: int
    first_delay: timedelta = SECOND
    longest_delay: timedelta = QUARTER
    forgotten_after: timedelta = HOUR

    def delay(self, guesses: int) -> timedelta:
        """How long nobody may guess after this many guesses."""
        if guesses < self.free:
            return timedelta()
        doubled = min(guesses - self.free, 20)  # a power that does not overflow, and is beyond every longest delay
        return min(self.first_delay * (1 << doubled), self.longest_delay)

    def delays(self) -> list[float]:
        """The delays in seconds after one guess, two guesses, and so on. The last one is the longest."""
        found = [self.delay(1).total_seconds()]
        while found[-1] < self.longest_delay.total_seconds():
            found.append(self.delay(len(found) + 1).total_seconds())
        return found


@dataclass(frozen=True, slots=True)
class Limits:
    """The rules for one kind of secret.

    `account` limits what all unknown senders together try on one account, and apart from them what each known sender
    tries on it. `sender` limits what an unknown sender tries on all accounts.
    """

    sender: Rule
    account: Rule | None = None


DAY = timedelta(days=1)
# OWASP's Authentication Cheat Sheet asks for a limit for each account, beside one for each sender. With these, one
# account's password can be guessed 17 times in the first hour, and 96 times a day after that.
LIMITS = {
    "login": Limits(sender=Rule(60), account=Rule(5, forgotten_after=DAY)),
    "password_check": Limits(sender=Rule(60), account=Rule(5, forgotten_after=DAY)),
    "password_recovery": Limits(sender=Rule(30, MINUTE, HOUR), account=Rule(5, 5 * MINUTE, HOUR)),
    "password_reset": Limits(sender=Rule(20)),
    "address_verification": Limits(sender=Rule(60), account=Rule(5, 10 * SECOND)),
    "address_confirmation": Limits(sender=Rule(120), account=Rule(20)),
    "webhook_token": Limits(sender=Rule(60)),  # wrong ones only
}
