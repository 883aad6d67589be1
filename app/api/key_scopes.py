"""Which scope an API key needs for a route. This is the one place that says so, for every route.

The scope follows from the method and the path, so that a new route needs one without a word about it: `read` to read,
the scope of its subject to change something, `admin` if no subject has a scope of its own. What concerns only the
person themselves, such as their password, their sessions and their channels, is not for keys.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import structlog
from fastapi import Request

from app.core.errors import PermissionDenied
from app.core.vocabulary import ApiKeyScope
from app.models import User

log = structlog.get_logger()

NOT_FOR_KEYS = "API keys may not do this. Log in with an e-mail address and a password."
MAX_KNOWN = 1024


@dataclass(frozen=True, slots=True)
class Rule:
    """The scope for routes of one of these methods (any if none is named) and of a path. None lets no key in."""

    methods: tuple[str, ...]
    path: str
    scope: ApiKeyScope | None

    def is_for(self, method: str, path: str) -> bool:
        return (not self.methods or method in self.methods) and re.fullmatch(self.path, path) is not None


READS, ANY = ("GET", "HEAD"), ()
# The first rule that fits decides.
RULES = (
    Rule(ANY, r"/v1/users/me/sessions(/.*)?", None),
    Rule(("POST",), r"/v1/api-keys", None),  # a stolen key must not outlive its revocation by another one
    Rule(ANY, r"/v1/api-keys(/.*)?", ApiKeyScope.ADMIN),
    Rule(READS, r"/v1/.*", ApiKeyScope.READ),
    # These are POSTs that change nothing.
    Rule(("POST",), r"/v1/auth/login/test-token", ApiKeyScope.READ),
    Rule(("POST",), r"/v1/escalation/preview", ApiKeyScope.READ),
    Rule(("POST",), r"/v1/notification-templates/.*/preview", ApiKeyScope.READ),
    Rule(ANY, r"/v1/users/me(/.*)?", None),
    Rule(ANY, r"/v1/notification-preferences/me(/.*)?", None),
    Rule(("DELETE",), r"/v1/incidents/[^/]+", ApiKeyScope.ADMIN),  # the whole record, for good
    Rule(ANY, r"/v1/incidents(/.*)?", ApiKeyScope.INCIDENTS_WRITE),
    Rule(ANY, r"/v1/escalation/incidents/.*", ApiKeyScope.INCIDENTS_WRITE),
    Rule(ANY, r"/v1/escalation/policies(/.*)?", ApiKeyScope.POLICIES_WRITE),
    Rule(ANY, r"/v1/.*", ApiKeyScope.ADMIN),
)


@lru_cache(MAX_KNOWN)
def scope_for(method: str, path: str) -> ApiKeyScope | None:
    """The scope that a key needs for a route; None if keys may not use it. Takes a path or its template."""
    return next((rule.scope for rule in RULES if rule.is_for(method, path)), None)


def scope_of(request: Request) -> ApiKeyScope | None:
    """The scope that a key needs for a request."""
    return scope_for(request.method, request.scope["path"].removeprefix(request.scope.get("root_path", "")))


def require_scope(user: User, scope: ApiKeyScope | None) -> None:
    """Raise PermissionDenied if somebody acts by a key that lacks a scope, or by any key where none is let in."""
    key = user.api_key
    if key is None or (scope is not None and not key.scopes.isdisjoint((scope, ApiKeyScope.ADMIN))):
        return
    log.warning("api_key_refused", reason="scope", api_key_id=key.id, scope=scope)
    raise key_refusal(scope)


def key_refusal(scope: ApiKeyScope | None) -> PermissionDenied:
    """What is said to a key that lacks a scope, or to any key where none is let in."""
    return PermissionDenied(NOT_FOR_KEYS if scope is None else f"The key lacks the scope {scope}.")
