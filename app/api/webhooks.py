"""Shared parts of the webhooks: a secret, and a body that is read only after the secret was checked."""

import base64
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import structlog
from fastapi import Depends, Header, Request
from fastapi.security import APIKeyHeader, HTTPBasic, HTTPBearer
from starlette.concurrency import run_in_threadpool

from app.api.deps import GuessDep, ServicesDep
from app.api.webhook_tokens import KnownTokens
from app.core.config import Settings
from app.core.errors import NotAuthenticated, Overloaded, TooManyRequests
from app.core.security import same_secret
from app.services.accounts.guess_service import Guess
from app.services.incidents.alert_intake_service import PostedAlert
from app.utils.service_locator import Services

log = structlog.get_logger()

MIB = 1024 * 1024
START_BYTES = 64 * 1024

# For OpenAPI: any one of the three. They are read below, so that the answer to a wrong one is a problem.
SECURITY: list[dict[str, list[str]]] = [{"WebhookBearer": []}, {"WebhookBasic": []}, {"WebhookToken": []}]
SCHEMES = (
    HTTPBearer(scheme_name="WebhookBearer", auto_error=False),
    HTTPBasic(scheme_name="WebhookBasic", auto_error=False),
    APIKeyHeader(name="X-Webhook-Token", scheme_name="WebhookToken", auto_error=False),
)


def token_of(source: str) -> Any:
    """The dependency that requires one of this source's secrets."""

    async def require_token(
        request: Request,
        services: ServicesDep,
        guess: GuessDep,
        authorization: Annotated[str, Header(include_in_schema=False)] = "",
        x_webhook_token: Annotated[str, Header(include_in_schema=False)] = "",
    ) -> None:
        tokens = services.sources[source].tokens
        if not tokens:
            _require_development(services.settings)
            return
        offered = _given(authorization, x_webhook_token)
        known = _known_tokens(request, services, source)
        right = _right_token(offered, tokens)
        if right is not None:
            await known.keep_working(services, right)
            return
        await known.tell_refused(services, offered)
        await _count_refused(guess, drops_429=services.sources[source].drops_429)
        log.warning("webhook_token_refused", source=source)
        raise NotAuthenticated("The webhook's token is missing or wrong.")

    return Depends(require_token)


async def _count_refused(guess: Callable[..., Guess], *, drops_429: bool) -> None:
    """Count a wrong token. Raises TooManyRequests. A right one is never counted: both may come through one proxy."""
    try:
        await run_in_threadpool(guess, "webhook_token")
    except TooManyRequests as refusal:
        if not drops_429:
            raise
        raise Overloaded(str(refusal), retry_after_seconds=refusal.retry_after_seconds) from refusal


def has_right_token(request: Request, services: Services, source: str) -> bool:
    """True if a request may post alerts, and there is nothing to keep of its token."""
    tokens = services.sources[source].tokens
    if not tokens:
        return not services.settings.is_production
    headers = request.headers
    right = _right_token(_given(headers.get("authorization", ""), headers.get("x-webhook-token", "")), tokens)
    return right is not None and _known_tokens(request, services, source).has_kept(services, right)


def _right_token(offered: Sequence[str], tokens: Sequence[str]) -> str | None:
    """The first of a source's tokens that a request offers."""
    return next((token for token in tokens if any(same_secret(given, token) for given in offered)), None)


def is_small(request: Request) -> bool:
    """True if the body says that it is short enough to be read on the event loop."""
    told = request.headers.get("content-length", "")
    return told.isdecimal() and int(told) <= START_BYTES


def _known_tokens(request: Request, services: Services, source: str) -> KnownTokens:
    """What this process knows about a source's tokens."""
    state = request.app.state
    if getattr(state, "known_tokens_of", None) is not services:
        state.known_tokens_of, state.known_tokens = services, {}
    known: dict[str, KnownTokens] = state.known_tokens
    return known.setdefault(source, KnownTokens(source))


def _require_development(settings: Settings) -> None:
    """A source without a secret is open in development and closed in production. Raises NotAuthenticated."""
    if settings.is_production:
        raise NotAuthenticated("This webhook is off, because the operator has not set a token for it.")


def _given(authorization: str, token: str) -> list[str]:
    """The secrets in a request: as a bearer token, as a basic password, or in their own header."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return [value.strip(), token]
    if scheme.lower() == "basic":
        return [_basic_password(value), token]
    return [token]


def _basic_password(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


async def get_alert(request: Request, services: ServicesDep) -> PostedAlert:
    """The body, up to the limit of `WEBHOOK_MAX_BODY_MIB`. Of a larger one, only the start is read."""
    limit = services.settings.webhook_max_body_mib * MIB
    told = request.headers.get("content-length", "")
    is_too_large = told.isdecimal() and int(told) > limit
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        is_too_large = is_too_large or len(content) > limit
        if is_too_large and len(content) >= START_BYTES:
            break
    return PostedAlert(bytes(content), limit if is_too_large else None)


Alert = Annotated[PostedAlert, Depends(get_alert)]
