"""Makes routes answer with and without a trailing slash."""

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.route_table import ROUTE_TEMPLATE


class TrailingSlash:
    """Treat `/v1/incidents/` as `/v1/incidents`: on a redirect, many clients drop the Authorization header."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not (scope["type"] == "http" and scope["path"].startswith("/v1/") and scope["path"].endswith("/")):
            await self.app(scope, receive, send)
            return
        inner = {**scope, "path": scope["path"].rstrip("/")}
        try:
            await self.app(inner, receive, send)
        finally:
            if ROUTE_TEMPLATE in inner:  # for whoever looks at the request afterwards
                scope[ROUTE_TEMPLATE] = inner[ROUTE_TEMPLATE]
