"""What can go wrong in the domain. Nothing here knows HTTP: `app.api.errors` maps each class once."""

from typing import Any, ClassVar

from app.core.vocabulary import ErrorCode


class DomainError(Exception):
    """Why a request is refused. `code` is stable for programs, `str(error)` is for people.

    If it `is_remembered`, the transaction is committed nevertheless.
    """

    code: ClassVar[ErrorCode]
    is_remembered = False

    def __init__(self, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.extra = extra


class NotFound(DomainError):
    """The thing does not exist, or not for this user."""

    code = ErrorCode.NOT_FOUND


class Conflict(DomainError):
    """The request contradicts what is stored."""

    code = ErrorCode.CONFLICT


class DuplicateEmail(Conflict):
    code = ErrorCode.EMAIL_TAKEN


class DuplicatePolicyName(Conflict):
    code = ErrorCode.POLICY_NAME_TAKEN


class InvalidTransition(Conflict):
    """The incident cannot make this move from where it is."""

    code = ErrorCode.INVALID_TRANSITION


class AlertOpenElsewhere(Conflict):
    """Another open incident has the same alert."""

    code = ErrorCode.ALERT_OPEN_ELSEWHERE


class CycleLimitReached(Conflict):
    """Policies have restarted an incident too often."""

    code = ErrorCode.CYCLE_LIMIT_REACHED


class LastAdmin(Conflict):
    """The last active administrator cannot be deleted, deactivated or demoted."""

    code = ErrorCode.LAST_ADMIN


class ChannelUnusable(Conflict):
    """The channel is not set up, or has no address."""

    code = ErrorCode.CHANNEL_UNUSABLE


class IdempotencyKeyReused(Conflict):
    """The key was used before with another body."""

    code = ErrorCode.IDEMPOTENCY_KEY_REUSED


class NotAuthenticated(DomainError):
    """No token, or one that is forged, expired or revoked."""

    code = ErrorCode.NOT_AUTHENTICATED


class WrongCredentials(NotAuthenticated):
    code = ErrorCode.WRONG_CREDENTIALS


class PermissionDenied(DomainError):
    code = ErrorCode.PERMISSION_DENIED


class SignupClosed(PermissionDenied):
    code = ErrorCode.SIGNUP_CLOSED


class InvalidResetToken(DomainError):
    """The password reset token is unknown, spent or expired."""

    code = ErrorCode.INVALID_RESET_TOKEN


class UnknownLink(NotFound):
    """The link is not valid. The message says what to do, because a person reads it on a page."""


class LinkExpired(DomainError):
    """The link in a page has expired."""

    code = ErrorCode.LINK_EXPIRED


class MalformedBody(DomainError):
    """The body is not JSON."""

    code = ErrorCode.MALFORMED_BODY


class AlertTooLarge(DomainError):
    """The body of an alert is over the limit. Its incident is kept."""

    code = ErrorCode.BODY_TOO_LARGE
    is_remembered = True


class UnsupportedMediaType(DomainError):
    code = ErrorCode.UNSUPPORTED_MEDIA_TYPE


class TooManyRequests(DomainError):
    """Too many requests; `retry_after_seconds` says how long to wait."""

    code = ErrorCode.TOO_MANY_REQUESTS

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class WorkerStalled(DomainError):
    """This process's worker has completed no tick for a while."""

    code = ErrorCode.WORKER_STALLED


class NotReady(DomainError):
    """This process should get no requests now. `checks` says why."""

    code = ErrorCode.NOT_READY


class Overloaded(TooManyRequests):
    """The service has more requests waiting than it can serve soon."""

    code = ErrorCode.OVERLOADED


class QueryTooSlow(DomainError):
    """A request that only reads takes more of the database's time than it may."""

    code = ErrorCode.QUERY_TOO_SLOW

    def __init__(self, limit_seconds: float) -> None:
        super().__init__(
            f"This takes over {limit_seconds:g} seconds of database time, so it was stopped. Narrow it: add a filter "
            "such as status, service or created_after, search for longer words, or ask for fewer with limit."
        )


class InvalidInput(DomainError):
    """A value that only the database can judge is wrong. `pointer` is the JSON pointer to it."""

    code = ErrorCode.INVALID_INPUT

    def __init__(self, message: str, *, pointer: str) -> None:
        super().__init__(message)
        self.pointer = pointer


class TooManyAlerts(InvalidInput):
    """One body holds more alerts than are applied together. Its incident is kept."""

    is_remembered = True


class WrongPassword(InvalidInput):
    """The current password is not the one that was given."""

    code = ErrorCode.WRONG_PASSWORD


class WrongCode(InvalidInput):
    """The code does not prove the address. The attempt is counted."""

    code = ErrorCode.WRONG_CODE
    is_remembered = True


class ConfigurationError(Exception):
    """The service cannot start with these settings. The message names each setting and how to fix it."""
