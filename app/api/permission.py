"""Decides who may call a route: responders, unless the type of the handler's `user` says otherwise."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, get_args

import structlog
from fastapi import Request, Security
from fastapi.params import Depends
from fastapi.security import HTTPBearer, OAuth2PasswordBearer
from sqlalchemy.orm import Session

from app.api.key_scopes import require_scope, scope_of
from app.core import api_key, origin
from app.core.errors import NotAuthenticated, PermissionDenied
from app.core.origin import Origin
from app.core.security import Bearer, Claims, Tokens
from app.models import User
from app.services.accounts import bearer_service

log = structlog.get_logger()

# No refreshUrl: it would promise the OAuth2 form, but refreshing takes JSON.
bearer = OAuth2PasswordBearer(
    tokenUrl="/v1/auth/login/access-token",
    description="The access token from logging in. Log in with an e-mail address and a password.",
    auto_error=False,
)
# For OpenAPI: a key is sent where an access token is.
KEYS = HTTPBearer(
    scheme_name="ApiKey",
    bearerFormat="ims_...",
    description="An API key from `POST /v1/api-keys`. Each operation names the scope that the key needs.",
    auto_error=False,
)
BearerToken = Annotated[str | None, Security(bearer)]


class Deferred:
    """The second half of a dependency: `resolve(session)` returns the handler's argument."""

    def __init__(self, resolve: Callable[[Session], Any]) -> None:
        self.resolve = resolve


@dataclass(frozen=True)
class Permission:
    """A dependency that provides the token's active user, if `check` accepts that user, and the API key has the scope.

    FastAPI gets a Deferred from it, which the route resolves in the handler's transaction.
    """

    check: Callable[[User], None]
    is_for_everybody: bool = False

    async def __call__(self, request: Request, token: BearerToken) -> Deferred:
        """Raises NotAuthenticated; the Deferred may also raise PermissionDenied."""
        if not token:
            raise NotAuthenticated("Send an access token: `Authorization: Bearer <token>`.")
        bearer = _read(request.app.state.services.auth.tokens, token)
        deferred = Deferred(partial(self._authenticated, bearer, request))
        request.state.deferred = [deferred]
        return deferred

    def _authenticated(self, bearer: Bearer, request: Request, session: Session) -> User:
        user = bearer_service.authenticate(session, bearer)
        identify(origin.current(), user, bearer)
        if user.api_key is not None:
            require_scope(user, scope_of(request))
        self.check(user)
        return user


def _read(tokens: Tokens, token: str) -> Bearer:
    try:
        return tokens.read(token)
    except NotAuthenticated:
        if api_key.is_one(token):
            log.warning("api_key_refused", reason="malformed")
        raise


def identify(request: Origin, user: User, bearer: Bearer) -> None:
    """Say whose request this is, for what it records and for its line in the log."""
    request.actor_id = user.id
    if isinstance(bearer, Claims):
        request.session_id = bearer.session_id
    elif user.api_key is not None:
        request.api_key_id = user.api_key.id


def permission_of(endpoint: Callable[..., Any]) -> Permission | None:
    """The permission that a handler's `user` requires. None if the handler takes no user."""
    parameter = inspect.signature(endpoint, eval_str=True).parameters.get("user")
    marks = get_args(parameter.annotation)[1:] if parameter is not None else ()
    asked = (mark.dependency for mark in marks if isinstance(mark, Depends))
    return next((dependency for dependency in asked if isinstance(dependency, Permission)), None)


def _allow(_user: User) -> None:
    """Accept every active user."""


def _require_responder(user: User) -> None:
    if not user.may_respond:
        raise PermissionDenied(
            "Viewers may only read incidents and change their own profile. Ask an administrator for the role responder."
        )


def _require_admin(user: User) -> None:
    if not user.is_superuser:
        raise PermissionDenied("Only administrators may do this.")


EVERYBODY = Permission(_allow, is_for_everybody=True)
RESPONDERS = Permission(_require_responder)
ADMINS = Permission(_require_admin)
