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
    ErrorCode.IDEMPOTENCY_KEY_REUSED: "The Idempotency-Key came before, with another body",
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
    ErrorCode.QUERY_TOO_SLOW: "It takes too much of the database's time: narrow it",
    ErrorCode.WORKER_STALLED: "The worker of this process has stopped: pages are late",
    ErrorCode.BAD_REQUEST: "The request cannot be read",
    ErrorCode.METHOD_NOT_ALLOWED: "The address does not take this method; Allow names those that it takes",
    ErrorCode.REQUEST_TIMEOUT: "The body did not come in time",
    ErrorCode.VALIDATION_ERROR: "The input is not valid; `errors` lists what is wrong, and where",
    ErrorCode.UNSTORABLE_VALUE: "A value cannot be stored",
    ErrorCode.HEADERS_TOO_LARGE: "The headers are over the limit",
    ErrorCode.HTTP_ERROR: "Another error of HTTP: see `status`",
    ErrorCode.INTERNAL: "Something broke: a defect of the service",
    ErrorCode.DATABASE_UNAVAILABLE: "The database cannot be reached",
}

# What an error says when a route names its class.
USUAL: tuple[errors.DomainError, ...] = (
    errors.NotAuthenticated("The access token is invalid or has expired."),
    errors.WrongCredentials("The e-mail address or the password is wrong."),
    errors.PermissionDenied("Only administrators may do this."),
    errors.NotFound(""),  # what the path names: see MISSING
    errors.SignupClosed("Signing up is closed: ask an administrator for an account."),
    errors.DuplicateEmail("There is an account with this e-mail address already."),
    errors.DuplicatePolicyName("There is a policy named “Critical database alerts” already."),
    errors.InvalidTransition("A resolved incident cannot acknowledge; possible: reopen.", possible=["reopen"]),
    errors.AlertOpenElsewhere("The alert of this incident is open in incident 2.", incident_id=2),
    errors.LastAdmin("The last active administrator can be neither deleted, deactivated nor demoted."),
    errors.ChannelUnusable("The channel sms is not set up here: an operator has to name its provider."),
    errors.IdempotencyKeyReused("This Idempotency-Key was used with another body. Use a new key for a new request."),
    errors.InvalidResetToken("The token is invalid, spent or expired."),
    errors.MalformedBody("The body is not a form."),
    errors.UnsupportedMediaType("Send application/json, and name it in Content-Type."),
    errors.WrongPassword("This is not your current password.", pointer="/current_password"),
    errors.WrongCode("This is not the code that was sent last.", pointer="/code"),
    errors.TooManyRequests("Too many attempts. Wait a moment, then try again.", retry_after_seconds=30),
    errors.Overloaded("Too many requests are waiting. Try again in a moment.", retry_after_seconds=1),
    errors.QueryTooSlow(READING_SECONDS),
)
# What it says of a path whose last named part does not exist.
MISSING = {
    "incident_id": "There is no incident 1.",
    "user_id": "There is no user 1.",
    "policy_id": "There is no escalation policy 1.",
}
NOTHING_THERE = "There is nothing at this address."
# Status and words of what is refused before a handler runs, or because of what stands behind it.
GENERAL: dict[ErrorCode, tuple[int, str]] = {
    ErrorCode.REQUEST_TIMEOUT: (408, "The body did not come within 60 s."),
    ErrorCode.BODY_TOO_LARGE: (413, "The body is over 1048576 bytes."),
    ErrorCode.UNSTORABLE_VALUE: (422, UNSTORABLE),
    ErrorCode.HEADERS_TOO_LARGE: (431, "The headers are over 32768 bytes or 200 fields."),
    ErrorCode.DATABASE_UNAVAILABLE: (503, DATABASE_AWAY),
}
