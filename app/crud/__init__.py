"""Every SQL statement: one question, one method. Nothing here commits."""

from app.crud.crud_api_key import crud_api_key
from app.crud.crud_assignment import crud_assignment
from app.crud.crud_audit import crud_audit
from app.crud.crud_audit_chain import crud_audit_chain
from app.crud.crud_auth_session import crud_auth_session
from app.crud.crud_backup import crud_backup
from app.crud.crud_breaker import crud_breaker, crud_breaker_reset
from app.crud.crud_comment import crud_comment
from app.crud.crud_escalation import crud_escalation
from app.crud.crud_escalation_event import crud_event
from app.crud.crud_gauge import crud_gauge
from app.crud.crud_guess import crud_guess
from app.crud.crud_heartbeat import crud_heartbeat
from app.crud.crud_idempotency import crud_idempotency_key
from app.crud.crud_incident import crud_incident
from app.crud.crud_known_sender import crud_known_sender
from app.crud.crud_lease import crud_lease
from app.crud.crud_log_level import crud_log_level
from app.crud.crud_notification import crud_attempt, crud_notification
from app.crud.crud_notification_preference import crud_preference, crud_verification
from app.crud.crud_outbox import crud_outbox
from app.crud.crud_policy import crud_policy, crud_policy_version
from app.crud.crud_recorded_settings import crud_recorded_settings
from app.crud.crud_retention import crud_retention
from app.crud.crud_status_update import crud_status_update
from app.crud.crud_template import crud_template
from app.crud.crud_throttle import crud_throttle
from app.crud.crud_timeline import crud_timeline
from app.crud.crud_unmatched import crud_unmatched
from app.crud.crud_user import (
    crud_password_recovery,
    crud_password_reset_token,
    crud_refresh_token,
    crud_user,
)
from app.crud.crud_webhook_token import crud_webhook_token
from app.crud.crud_work import crud_work

__all__ = [
    "crud_api_key",
    "crud_assignment",
    "crud_attempt",
    "crud_audit",
    "crud_audit_chain",
    "crud_auth_session",
    "crud_backup",
    "crud_breaker",
    "crud_breaker_reset",
    "crud_comment",
    "crud_escalation",
    "crud_event",
    "crud_gauge",
    "crud_guess",
    "crud_heartbeat",
    "crud_idempotency_key",
    "crud_incident",
    "crud_known_sender",
    "crud_lease",
    "crud_log_level",
    "crud_notification",
    "crud_outbox",
    "crud_password_recovery",
    "crud_password_reset_token",
    "crud_policy",
    "crud_policy_version",
    "crud_preference",
    "crud_recorded_settings",
    "crud_refresh_token",
    "crud_retention",
    "crud_status_update",
    "crud_template",
    "crud_throttle",
    "crud_timeline",
    "crud_unmatched",
    "crud_user",
    "crud_verification",
    "crud_webhook_token",
    "crud_work",
]
