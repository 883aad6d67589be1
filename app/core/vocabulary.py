"""The closed sets of words that the API, the database and the services share."""

from enum import StrEnum


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class LogLevel(StrEnum):
    """How much is logged: this level and those after it."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class UserRole(StrEnum):
    """A user's role, independent of administrator rights."""

    RESPONDER = "responder"
    VIEWER = "viewer"  # reads incidents, and changes their own profile only


class ApiKeyScope(StrEnum):
    """What an API key may do, within the rights of whoever made it."""

    READ = "read"
    INCIDENTS_WRITE = "incidents:write"
    POLICIES_WRITE = "policies:write"
    ADMIN = "admin"  # includes the others


class Severity(StrEnum):
    """Most urgent first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"

    def outranks(self, other: "Severity") -> bool:
        """True if this one is more urgent than the other."""
        order = list(Severity)
        return order.index(self) < order.index(other)


class UnmatchedIncidents(StrEnum):
    """Whether the administrators are paged about an incident that no policy matches."""

    PAGE_ADMINS_FOR_ALERTS = "page_admins_for_alerts"  # only if an alert opened it: then nobody knows about it yet
    PAGE_ADMINS = "page_admins"
    RECORD_ONLY = "record_only"


class IncidentStatus(StrEnum):
    """Where an incident is in its lifecycle."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"
    RESOLVED = "resolved"


class EscalationState(StrEnum):
    """Where the escalation of one incident by one policy stands."""

    RUNNING = "running"  # a step is due at next_run_at
    FINISHED = "finished"  # every step of every loop has fired
    STOPPED = "stopped"  # the incident was acknowledged, snoozed or resolved
    ENDED = "ended"  # the policy was switched off, deleted, or no longer matches


class EventStatus(StrEnum):
    """The result of a step that fired; `pending` and `in_progress` are reserved."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DeliveryStatus(StrEnum):
    """The states of a message in the outbox."""

    PENDING = "pending"
    SENDING = "sending"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    RETRY = "retry"
    DEAD = "dead"
    CANCELLED = "cancelled"

    @property
    def has_reached(self) -> bool:
        """True if its provider accepted it."""
        return self in (DeliveryStatus.ACCEPTED, DeliveryStatus.DELIVERED)

    @property
    def is_lost(self) -> bool:
        """True if it will not arrive."""
        return self in (DeliveryStatus.DEAD, DeliveryStatus.CANCELLED)

    @property
    def has_ended(self) -> bool:
        """True if it will not be tried again."""
        return self.has_reached or self.is_lost

    @property
    def is_final(self) -> bool:
        """True if no report from its provider changes it."""
        return self is DeliveryStatus.DELIVERED or self.is_lost


UNDER_WAY = (DeliveryStatus.PENDING, DeliveryStatus.RETRY, DeliveryStatus.SENDING)


class AttemptOutcome(StrEnum):
    """How one attempt to send ended."""

    ACCEPTED = "accepted"
    RETRY = "retry"
    DEAD = "dead"


class EndReason(StrEnum):
    """Why a message is dead or cancelled."""

    NOT_NEEDED = "not_needed"  # its incident was no longer open in the cycle of the page
    RECIPIENT_DEACTIVATED = "recipient_deactivated"
    REFUSED = "refused"  # by the provider, for good
    GAVE_UP = "gave_up"  # it failed for a quarter of an hour
    UNDELIVERED = "undelivered"  # the provider accepted it and reports that it never arrived


class NotificationKind(StrEnum):
    """Why a message is sent. Only pages are cancelled when somebody acknowledges."""

    PAGE = "page"
    MANUAL_PAGE = "manual_page"
    BUNDLE = "bundle"  # one message for several pages to one person by one channel
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a kind of mail
    VERIFICATION = "verification"  # the code that confirms an address
    TEST = "test"
    NOTICE = "notice"  # information only: about a person's own account, or a status update
    WEBHOOK_ACTION = "webhook_action"  # an action of a policy's step

    @property
    def is_page(self) -> bool:
        """True if it pages somebody about an incident."""
        return self in (NotificationKind.PAGE, NotificationKind.MANUAL_PAGE)

    @property
    def is_secret(self) -> bool:
        """True if somebody who reads it could impersonate the recipient."""
        return self in (NotificationKind.PASSWORD_RESET, NotificationKind.VERIFICATION)


class MessageKind(StrEnum):
    """What a message template is for."""

    PAGE = "page"
    BUNDLE = "bundle"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a kind of mail
    VERIFICATION = "verification"
    TEST = "test"
    NOTICE = "notice"
    ACKNOWLEDGED = "acknowledged"  # an incident that paged the reader was acknowledged
    RESOLVED = "resolved"
    STATUS_UPDATES = "status_updates"  # several of the two


class UpdateEvent(StrEnum):
    """The status updates for people who were paged."""

    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class TimelineEventType(StrEnum):
    """What can happen to an incident."""

    CREATED = "created"
    UPDATED = "updated"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    SNOOZED = "snoozed"
    SNOOZE_ENDED = "snooze_ended"
    REOPENED = "reopened"
    SEVERITY_RAISED = "severity_raised"
    ALERT_REPEATED = "alert_repeated"
    ASSIGNED = "assigned"
    UNASSIGNED = "unassigned"
    COMMENTED = "commented"
    ESCALATION_STARTED = "escalation_started"
    ESCALATION_STEP = "escalation_step"
    ESCALATION_ENDED = "escalation_ended"
    ESCALATION_QUARANTINED = "escalation_quarantined"
    ESCALATED_MANUALLY = "escalated_manually"
    NOTIFICATION_SENT = "notification_sent"
    NOTIFICATION_DELIVERED = "notification_delivered"
    NOTIFICATION_FAILED = "notification_failed"
    NOTIFICATION_FELL_BACK = "notification_fell_back"
    WEBHOOK_CALLED = "webhook_called"
    CYCLE_LIMIT_REACHED = "cycle_limit_reached"
    ESCALATION_HEALED = "escalation_healed"
    NOBODY_REACHABLE = "nobody_reachable"
    NO_POLICY_MATCHED = "no_policy_matched"
    ENDED_WITHOUT_PAGE = "ended_without_page"  # a policy acknowledged or resolved it, and no page had been accepted


class AlertStatus(StrEnum):
    """What an alert did."""

    INCIDENT_CREATED = "incident_created"
    INCIDENT_UPDATED = "incident_updated"
    INCIDENT_RESOLVED = "incident_resolved"
    NO_MATCHING_ACTIVE_INCIDENT = "no_matching_active_incident"
    NO_CHANGES = "no_changes"


class HealthStatus(StrEnum):
    """How one part of the installation is."""

    OK = "ok"
    DEGRADED = "degraded"  # a person should look at it; requests are still answered
    FAILED = "failed"


class BreakerState(StrEnum):
    """Whether a provider is called."""

    CLOSED = "closed"  # it is
    OPEN = "open"  # it is not, for a while
    HALF_OPEN = "half_open"  # one message probes it


class Phase(StrEnum):
    """Where a serving process is in its life."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"


class ErrorCode(StrEnum):
    """What is wrong, for programs. A code never changes its meaning; later versions may add some."""

    # From the domain: see `app.core.errors`.
    NOT_AUTHENTICATED = "not_authenticated"
    WRONG_CREDENTIALS = "wrong_credentials"
    PERMISSION_DENIED = "permission_denied"
    SIGNUP_CLOSED = "signup_closed"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    EMAIL_TAKEN = "email_taken"
    POLICY_NAME_TAKEN = "policy_name_taken"
    INVALID_TRANSITION = "invalid_transition"
    ALERT_OPEN_ELSEWHERE = "alert_open_elsewhere"
    CYCLE_LIMIT_REACHED = "cycle_limit_reached"
    LAST_ADMIN = "last_admin"
    CHANNEL_UNUSABLE = "channel_unusable"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    INVALID_RESET_TOKEN = "invalid_reset_token"  # noqa: S105 - a code
    LINK_EXPIRED = "link_expired"
    MALFORMED_BODY = "malformed_body"
    BODY_TOO_LARGE = "body_too_large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    INVALID_INPUT = "invalid_input"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - a code
    WRONG_CODE = "wrong_code"
    TOO_MANY_REQUESTS = "too_many_requests"
    OVERLOADED = "overloaded"
    QUERY_TOO_SLOW = "query_too_slow"
    WORKER_STALLED = "worker_stalled"
    NOT_READY = "not_ready"
    # From what stands before and behind it.
    BAD_REQUEST = "bad_request"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    REQUEST_TIMEOUT = "request_timeout"
    VALIDATION_ERROR = "validation_error"
    UNSTORABLE_VALUE = "unstorable_value"
    HEADERS_TOO_LARGE = "headers_too_large"
    HTTPS_REQUIRED = "https_required"
    HOST_NOT_SERVED = "host_not_served"
    HTTP_ERROR = "http_error"
    INTERNAL = "internal"
    DATABASE_UNAVAILABLE = "database_unavailable"
