"""What each error means, and what it says: the words of the OpenAPI document's examples."""

from app.api.errors import DATABASE_AWAY, UNSTORABLE
from app.core import errors
from app.core.vocabulary import ErrorCode
from app.db.budget import READING_SECONDS

MEANINGS: dict[ErrorCode, str] = {
    ErrorCode.NOT_AUTHENTICATED: "No valid token",
    ErrorCode.WRONG_CREDENTIALS: "The address or the password is wrong, or the account is not active",
    ErrorCode.PERMISSION_DENIED: "This user may not do this",
    ErrorCode.SIGNUP_CLOSED: "Nobody may sign up here",
    ErrorCode.NOT_FOUND: "It does not exist",
    ErrorCode.CONFLICT: "The request conflicts with what is stored",
    ErrorCode.EMAIL_TAKEN: "Another account has this address",
    ErrorCode.POLICY_NAME_TAKEN: "Another policy has this name",
    ErrorCode.INVALID_TRANSITION: "The incident cannot make this move; `possible` names those that it can make",
    ErrorCode.ALERT_OPEN_ELSEWHERE: "The incident's alert is open in another incident, `incident_id`",
    ErrorCode.CYCLE_LIMIT_REACHED: "Policies have restarted the incident too often",
    ErrorCode.LAST_ADMIN: "It would leave nobody as an active administrator",
    ErrorCode.CHANNEL_UNUSABLE: "The channel is not set up, or has no address that may be used",
    ErrorCode.IDEMPOTENCY_KEY_REUSED: "The Idempotency-Key was used before with another body",
    ErrorCode.INVALID_RESET_TOKEN: "The token is invalid, used or expired",
    ErrorCode.LINK_EXPIRED: "The link in a page has expired",
    ErrorCode.MALFORMED_BODY: "The body cannot be read",
    ErrorCode.BODY_TOO_LARGE: "The body is over the limit",
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: "The body's content type is not accepted",
    ErrorCode.INVALID_INPUT: "A value is well formed, but does not fit what is stored",
    ErrorCode.WRONG_PASSWORD: "The current password is wrong",
    ErrorCode.WRONG_CODE: "The code is wrong, used or expired",
    ErrorCode.TOO_MANY_REQUESTS: "Too many requests; Retry-After says when to try again",
    ErrorCode.OVERLOADED: "Too many requests or connections at this moment",
    ErrorCode.QUERY_TOO_SLOW: "The request takes too much database time. Narrow it",
    ErrorCode.WORKER_STALLED: "The worker of this process has stopped: pages are late",
    ErrorCode.NOT_READY: "This process should get no requests now; `checks` says why",
    ErrorCode.BAD_REQUEST: "The request cannot be read",
    ErrorCode.METHOD_NOT_ALLOWED: "The address does not accept this method. Allow lists those it accepts",
    ErrorCode.REQUEST_TIMEOUT: "The body did not arrive in time",
    ErrorCode.VALIDATION_ERROR: "The input is not valid; `errors` lists what is wrong, and where",
    ErrorCode.UNSTORABLE_VALUE: "A value cannot be stored",
    ErrorCode.HEADERS_TOO_LARGE: "The headers are over the limit",
    ErrorCode.HTTPS_REQUIRED: "The request came by plain HTTP",
    ErrorCode.HOST_NOT_SERVED: "The service does not answer for the host name in the request",
    ErrorCode.HTTP_ERROR: "Another error of HTTP: see `status`",
    ErrorCode.INTERNAL: "An unexpected error: a defect of the service",
    ErrorCode.DATABASE_UNAVAILABLE: "The database cannot be reached",
}

# The example of an error when a route only names its class.
USUAL: tuple[errors.DomainError, ...] = (
    errors.NotAuthenticated("The access token is invalid or has expired."),
    errors.WrongCredentials("The e-mail address or the password is wrong."),
    errors.PermissionDenied("Only administrators may do this."),
    errors.NotFound(""),  # what the path names: see MISSING
    errors.SignupClosed("Signing up is closed. Ask an administrator for an account."),
    errors.DuplicateEmail("An account with this e-mail address already exists. Use another address."),
    errors.DuplicatePolicyName("A policy named “Critical database alerts” already exists. Choose another name."),
    errors.InvalidTransition("A resolved incident can't be acknowledged. Reopen it first.", possible=["reopen"]),
    errors.AlertOpenElsewhere(
        "Incident 2 is open for the same alert. Work on that one, or resolve it first.", incident_id=2
    ),
    errors.LastAdmin("This is the last active administrator. Make somebody else an administrator first."),
    errors.ChannelUnusable("The channel sms is not set up here. An operator has to name its provider first."),
    errors.IdempotencyKeyReused("This Idempotency-Key was used with another body. Use a new key for a new request."),
    errors.InvalidResetToken("The token is invalid, used or expired. Request a new one."),
    errors.MalformedBody("The body is not a form. Send application/x-www-form-urlencoded."),
    errors.UnsupportedMediaType("Content-Type must be application/json."),
    errors.WrongPassword("current_password is wrong. Enter your current password.", pointer="/current_password"),
    errors.WrongCode("This is not the code that was sent last. Check it and try again.", pointer="/code"),
    errors.TooManyRequests("Too many attempts. Wait a moment, then try again.", retry_after_seconds=30),
    errors.Overloaded("Too many requests are waiting. Try again in a moment.", retry_after_seconds=1),
    errors.QueryTooSlow(READING_SECONDS),
)
# The example for a path whose last parameter does not exist.
MISSING = {
    "incident_id": "There is no incident 1.",
    "user_id": "User 1 does not exist.",
    "api_key_id": "There is no API key 1.",
    "session_id": "There is no session 3f2b1a90-7c1d-41ef-9a53-0242ac120002.",
    "policy_id": "Escalation policy 1 does not exist.",
}
NOTHING_THERE = "There is nothing at this address."
# Status and example of errors outside the handlers.
GENERAL: dict[ErrorCode, tuple[int, str]] = {
    ErrorCode.REQUEST_TIMEOUT: (408, "The body did not arrive within 60 s. Send it again."),
    ErrorCode.BODY_TOO_LARGE: (413, "The body is over 1048576 bytes."),
    ErrorCode.UNSTORABLE_VALUE: (422, UNSTORABLE),
    ErrorCode.HEADERS_TOO_LARGE: (431, "The headers are over 32768 bytes or 200 fields. Send fewer."),
    ErrorCode.DATABASE_UNAVAILABLE: (503, DATABASE_AWAY),
}
