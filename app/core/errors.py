"""What can go wrong in the domain. Nothing here knows HTTP: `app.api.errors` maps each class once."""

from typing import Any


class DomainError(Exception):
    """Why a request is refused. `code` is stable for programs, `str(error)` is for people.

    If it `is_remembered`, the transaction is committed nevertheless.
    """

    code = "error"
    is_remembered = False

    def __init__(self, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.extra = extra


class NotFound(DomainError):
    """The thing does not exist, or not for this user."""

    code = "not_found"


class Conflict(DomainError):
    """The request contradicts what is stored."""

    code = "conflict"


class DuplicateEmail(Conflict):
    code = "email_taken"


class DuplicatePolicyName(Conflict):
    code = "policy_name_taken"


class InvalidTransition(Conflict):
    """The incident cannot make this move from where it is."""

    code = "invalid_transition"


class AlertOpenElsewhere(Conflict):
    """Another open incident has the same alert."""

    code = "alert_open_elsewhere"


class CycleLimitReached(Conflict):
    """Policies have restarted an incident too often."""

    code = "cycle_limit_reached"


class LastAdmin(Conflict):
    """The last active administrator cannot be deleted, deactivated or demoted."""

    code = "last_admin"


class ChannelUnusable(Conflict):
    """The channel is not set up, or has no address."""

    code = "channel_unusable"


class IdempotencyKeyReused(Conflict):
    """The key was used before with another body."""

    code = "idempotency_key_reused"


class NotAuthenticated(DomainError):
    """No token, or one that is forged, expired or revoked."""

    code = "not_authenticated"


class WrongCredentials(NotAuthenticated):
    code = "wrong_credentials"


class PermissionDenied(DomainError):
    code = "permission_denied"


class SignupClosed(PermissionDenied):
    code = "signup_closed"


class InvalidResetToken(DomainError):
    """The password reset token is unknown, spent or expired."""

    code = "invalid_reset_token"


class UnknownLink(NotFound):
    """The link leads nowhere. The message says what to do, because a person reads it on a page."""


class LinkExpired(DomainError):
    """The link in a page has expired."""

    code = "link_expired"


class MalformedBody(DomainError):
    """The body is not JSON."""

    code = "malformed_body"


class AlertTooLarge(DomainError):
    """The body of an alert is over the limit. Its incident is kept."""

    code = "body_too_large"
    is_remembered = True


class UnsupportedMediaType(DomainError):
    code = "unsupported_media_type"


class TooManyRequests(DomainError):
    """Too many requests; `retry_after_seconds` says how long to wait."""

    code = "too_many_requests"

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class WorkerStalled(DomainError):
    """This process's worker has completed no tick for a while."""

    code = "worker_stalled"


class Overloaded(TooManyRequests):
    """The service has more requests waiting than it can serve soon."""

    code = "overloaded"


class QueryTooSlow(DomainError):
    """A request that only reads takes more of the database's time than it may."""

    code = "query_too_slow"


class InvalidInput(DomainError):
    """A value that only the database can judge is wrong. `pointer` is the JSON pointer to it."""

    code = "invalid_input"

    def __init__(self, message: str, *, pointer: str) -> None:
        super().__init__(message)
        self.pointer = pointer


class TooManyAlerts(InvalidInput):
    """One body holds more alerts than are applied together. Its incident is kept."""

    is_remembered = True


class WrongPassword(InvalidInput):
    """The current password is not the one that was given."""

    code = "wrong_password"


class WrongCode(InvalidInput):
    """The code does not prove the address. The attempt is counted."""

    code = "wrong_code"
    is_remembered = True


class ConfigurationError(Exception):
    """The service cannot start with these settings. The message names each setting and how to fix it."""
