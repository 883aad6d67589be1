"""A client of an application in this process that changes threads once a request.

Starlette's own changes them seven times, which takes longer than most handlers do.
"""

import asyncio

from anyio.from_thread import BlockingPortal
from fastapi.testclient import TestClient
from httpx2 import BaseTransport, ByteStream, Request, Response
from starlette.types import ASGIApp, Message, Scope

SENDER = ("testclient", 50000)  # as Starlette's client names it


class InProcess(BaseTransport):
    """Runs each request to its end on an event loop that runs in another thread."""

    def __init__(self, application: ASGIApp, portal: BlockingPortal) -> None:
        self._application = application
        self._portal = portal

    def handle_request(self, request: Request) -> Response:
        body = request.read()  # a generator is the test's own: it runs in the test's thread
        return self._portal.call(self._answer, request, body)

    async def _answer(self, request: Request, body: bytes) -> Response:
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[Message] = []
        is_answered = asyncio.Event()

        async def receive() -> Message:
            if not waiting:
                await is_answered.wait()
                return {"type": "http.disconnect"}
            return waiting.pop()

        async def send(message: Message) -> None:
            sent.append(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                is_answered.set()

        await self._application(_scope(request), receive, send)
        return _response(request, sent)


class InProcessClient(TestClient):
    """Starlette's client, whose requests run `InProcess`."""

    def __init__(self, application: ASGIApp, portal: BlockingPortal) -> None:
        super().__init__(application)
        self._transport = InProcess(application, portal)


def _scope(request: Request) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.partition(b"?")[0],
        "query_string": request.url.query,
        "server": (request.url.host, request.url.port),
        "client": SENDER,
        "root_path": "",
    }


def _response(request: Request, sent: list[Message]) -> Response:
    start, *rest = sent
    body = b"" if request.method == "HEAD" else b"".join(message.get("body", b"") for message in rest)
    return Response(start["status"], headers=start["headers"], stream=ByteStream(body), request=request)
