"""A client of an application in this process that changes threads once a request.

Starlette's own changes them seven times, which takes longer than most handlers do.
"""

from anyio.from_thread import BlockingPortal
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx2 import ASGITransport, BaseTransport, Request, Response

SENDER = ("testclient", 50000)  # as Starlette's client names it


class InProcess(BaseTransport):
    """Runs each request to its end on an event loop that runs in another thread."""

    def __init__(self, application: FastAPI, portal: BlockingPortal) -> None:
        self._application = ASGITransport(application, client=SENDER)
        self._portal = portal

    def handle_request(self, request: Request) -> Response:
        request.read()  # a generator of the test's would run on the event loop
        return self._portal.call(self._answer, request)

    async def _answer(self, request: Request) -> Response:
        answer = await self._application.handle_async_request(request)
        await answer.aread()
        return Response(answer.status_code, headers=answer.headers, content=answer.content, request=request)


class InProcessClient(TestClient):
    """Starlette's client, whose requests run `InProcess`."""

    def __init__(self, application: FastAPI, portal: BlockingPortal) -> None:
        super().__init__(application)
        self._transport = InProcess(application, portal)
