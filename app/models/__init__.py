"""The tables: columns, constraints and indexes."""

from app.models.escalation import Escalation, EscalationEvent, EscalationPolicy, EscalationPolicyVersion
from app.models.idempotency import IdempotencyKey
from app.models.incident import Incident, IncidentAssignment, IncidentComment, TimelineEvent
from app.models.notification import Notification, NotificationAttempt
from app.models.notification_preference import NotificationPreference
from app.models.user import AuthSession, PasswordResetToken, RefreshToken, User

__all__ = [
    "AuthSession",
    "Escalation",
    "EscalationEvent",
    "EscalationPolicy",
    "EscalationPolicyVersion",
    "IdempotencyKey",
    "Incident",
    "IncidentAssignment",
    "IncidentComment",
    "Notification",
    "NotificationAttempt",
    "NotificationPreference",
    "PasswordResetToken",
    "RefreshToken",
    "TimelineEvent",
    "User",
]
