"""Makes routes answer with and without a trailing slash."""

from starlette.types import ASGIApp, Receive, Scope, Send


class TrailingSlash:
    """Treat `/v1/incidents/` as `/v1/incidents`: on a redirect, many clients drop the Authorization header."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/v1/") and scope["path"].endswith("/"):
            scope = {**scope, "path": scope["path"].rstrip("/")}
        await self.app(scope, receive, send)
