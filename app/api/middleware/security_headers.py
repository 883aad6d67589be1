"""Headers that tell a browser to trust nothing."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

STRICT_CSP = "default-src 'none'; frame-ancestors 'none'"
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
CSP = (b"content-security-policy", STRICT_CSP.encode())
NO_STORE = (b"cache-control", b"no-store")
HSTS = "max-age=31536000; includeSubDomains"


class SecurityHeaders:
    """Headers that tell a browser to trust nothing. A page that needs more sets its own policy."""

    def __init__(self, app: ASGIApp, *, is_production: bool) -> None:
        self.app = app
        headers = SECURITY_HEADERS | ({"Strict-Transport-Security": HSTS} if is_production else {})
        self.headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self.names = {name for name, _ in self.headers}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_api = scope["path"].startswith("/v1/")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = self._completed(message["headers"], is_api=is_api)
            await send(message)

        await self.app(scope, receive, send_with_headers)

    def _completed(self, given: list[tuple[bytes, bytes]], *, is_api: bool) -> list[tuple[bytes, bytes]]:
        names = {name for name, _ in given}
        if not names.isdisjoint(self.names):
            given = [header for header in given if header[0] not in self.names]
        return [*given, *self.headers, *_defaults(names, is_api=is_api)]


def _defaults(given: set[bytes], *, is_api: bool) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, unless it sets its own."""
    defaults = [] if CSP[0] in given else [CSP]
    if is_api and NO_STORE[0] not in given:
        defaults.append(NO_STORE)
    return defaults
