"""The closed set of what the audit log records: changes of configuration and access."""

from enum import StrEnum


class AuditAction(StrEnum):
    """What was done, as `noun.verb_past`. An action never changes its meaning; later versions may add some."""

    USER_CREATED = "user.created"  # by an administrator, or by the service at its first start
    USER_SIGNED_UP = "user.signed_up"
    USER_UPDATED = "user.updated"
    USER_RIGHTS_CHANGED = "user.rights_changed"  # role, or administrator rights
    USER_ACTIVATED = "user.activated"
    USER_DEACTIVATED = "user.deactivated"
    USER_DELETED = "user.deleted"
    USER_PROMOTED = "user.promoted"  # to administrator, by the operator's command
    USER_TAKEN_OVER = "user.taken_over"  # by the owner of the address that somebody else had signed up with
    USER_PASSWORD_CHANGED = "user.password_changed"  # noqa: S105 - a word
    USER_PASSWORD_RESET = "user.password_reset"  # noqa: S105 - a word
    USER_ADDRESS_CONFIRMED = "user.address_confirmed"

    LOGIN_SUCCEEDED = "login.succeeded"
    LOGIN_REFUSED = "login.refused"
    REFRESH_TOKEN_REUSED = "refresh_token.reused"  # noqa: S105 - a word
    SESSION_LOGGED_OUT = "session.logged_out"
    SESSION_REVOKED = "session.revoked"

    API_KEY_CREATED = "api_key.created"
    API_KEY_REVOKED = "api_key.revoked"
    API_KEY_DELETED = "api_key.deleted"

    POLICY_CREATED = "policy.created"
    POLICY_UPDATED = "policy.updated"
    POLICY_SWITCHED_ON = "policy.switched_on"
    POLICY_SWITCHED_OFF = "policy.switched_off"
    POLICY_DELETED = "policy.deleted"
    TEMPLATE_SET = "template.set"
    TEMPLATE_RESET = "template.reset"
    PREFERENCE_SET = "preference.set"  # by somebody else than its user
    PREFERENCE_DISABLED = "preference.disabled"  # by the service, because the address no longer exists
    CHANNEL_RESET = "channel.reset"  # its circuit breakers, or that of one provider, closed by an administrator
    INCIDENT_DELETED = "incident.deleted"
    INCIDENT_EXPIRED = "incident.expired"  # a batch that was resolved longer ago than incidents are kept

    WEBHOOK_TOKEN_ACCEPTED = "webhook_token.accepted"  # noqa: S105 - a token that no webhook had accepted before
    WEBHOOK_TOKEN_REFUSED = "webhook_token.refused"  # noqa: S105 - a token that was accepted before
    LOG_LEVEL_SET = "log_level.set"  # of all processes, until a time or until it is changed
    LOG_LEVEL_RESET = "log_level.reset"
    SETTINGS_CHANGED = "settings.changed"  # those in force at a start, since the last start

    AUDIT_ERASED = "audit.erased"  # a person's values in this log
    AUDIT_PRUNED = "audit.pruned"  # the oldest entries of this log
