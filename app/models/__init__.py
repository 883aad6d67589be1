"""The tables: columns, constraints and indexes."""

from app.models.api_key import ApiKey
from app.models.audit import AuditCheckpoint, AuditEntry, AuditLink, AuditValue, RecordedSettings
from app.models.backup import Backup
from app.models.breaker import BreakerReset, CircuitBreaker
from app.models.escalation import Escalation, EscalationEvent, EscalationPolicy, EscalationPolicyVersion
from app.models.guess import GuessCount, KnownSender
from app.models.idempotency import IdempotencyKey
from app.models.incident import Incident, IncidentAssignment, IncidentComment, TimelineEvent
from app.models.log_level import SetLogLevel
from app.models.notification import Notification, NotificationAttempt, NotificationTemplate, NotificationThrottle
from app.models.notification_preference import AddressVerification, NotificationPreference
from app.models.status_update import StatusUpdate
from app.models.user import AuthSession, PasswordRecovery, PasswordResetToken, RefreshToken, User
from app.models.webhook import WebhookToken
from app.models.worker import WorkerHeartbeat

__all__ = [
    "AddressVerification",
    "ApiKey",
    "AuditCheckpoint",
    "AuditEntry",
    "AuditLink",
    "AuditValue",
    "AuthSession",
    "Backup",
    "BreakerReset",
    "CircuitBreaker",
    "Escalation",
    "EscalationEvent",
    "EscalationPolicy",
    "EscalationPolicyVersion",
    "GuessCount",
    "IdempotencyKey",
    "Incident",
    "IncidentAssignment",
    "IncidentComment",
    "KnownSender",
    "Notification",
    "NotificationAttempt",
    "NotificationPreference",
    "NotificationTemplate",
    "NotificationThrottle",
    "PasswordRecovery",
    "PasswordResetToken",
    "RecordedSettings",
    "RefreshToken",
    "SetLogLevel",
    "StatusUpdate",
    "TimelineEvent",
    "User",
    "WebhookToken",
    "WorkerHeartbeat",
]
