"""What webhooks have in common: a shared secret, and a body that is read as leniently as it can be."""

import base64
import json
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.security import APIKeyHeader, HTTPBasic, HTTPBearer

from app.api.deps import ServicesDep
from app.core.config import Settings
from app.core.errors import InvalidInput, MalformedBody, NotAuthenticated, UnsupportedMediaType
from app.core.security import same_secret

# For OpenAPI: any one of the three. They are read below, so that a wrong one is told in problem form.
SECURITY: list[dict[str, list[str]]] = [{"WebhookBearer": []}, {"WebhookBasic": []}, {"WebhookToken": []}]
SCHEMES = (
    HTTPBearer(scheme_name="WebhookBearer", auto_error=False),
    HTTPBasic(scheme_name="WebhookBasic", auto_error=False),
    APIKeyHeader(name="X-Webhook-Token", scheme_name="WebhookToken", auto_error=False),
)


def token_of(source: str) -> Any:
    """The dependency that lets in only those who know this source's secret."""

    async def require_token(
        services: ServicesDep,
        authorization: Annotated[str, Header(include_in_schema=False)] = "",
        x_webhook_token: Annotated[str, Header(include_in_schema=False)] = "",
    ) -> None:
        token = services.sources[source].token
        if token is None:
            _require_development(services.settings)
        elif not any(same_secret(given, token.get_secret_value()) for given in _given(authorization, x_webhook_token)):
            raise NotAuthenticated("The webhook's token is missing or wrong.")

    return Depends(require_token)


def _require_development(settings: Settings) -> None:
    """A source without a secret is open in development and closed in production. Raises NotAuthenticated."""
    if settings.is_production:
        raise NotAuthenticated("This webhook is off: the operator has not set a token for it.")


def _given(authorization: str, token: str) -> list[str]:
    """The secrets that a request offers: as a bearer, as a basic password, in the header of its own."""
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


async def get_alert(request: Request) -> dict[str, Any]:
    """The body as an object. Raises MalformedBody, UnsupportedMediaType, InvalidInput.

    A sender that calls JSON something else is heard all the same: an alert may be lost for good.
    """
    try:
        body = json.loads((await request.body()).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if not media_type.endswith("json"):
            raise UnsupportedMediaType("Send application/json.") from error
        raise MalformedBody("The body is not JSON.") from error
    if not isinstance(body, dict):
        raise InvalidInput("The body must be a JSON object.", pointer="")
    return body


Alert = Annotated[dict[str, Any], Depends(get_alert)]
