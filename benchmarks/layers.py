"""How many microseconds of CPU each layer around a request takes: `python -m benchmarks.layers`.

Calls the application in this process, without a network, from each layer inwards. What a layer takes is the difference
to the next one. Each figure is the least of many tries, so that what else the machine does hardly counts.
"""

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Scope

TRIES, CALLS = 40, 100
HEADERS = [(b"host", b"127.0.0.1"), (b"user-agent", b"bench"), (b"accept", b"*/*")]
FRAMEWORK = "AsyncExitStackMiddleware"  # a request has to come in here at the latest
Layers = list[tuple[str, ASGIApp]]


def layers_of(app: FastAPI) -> Layers:
    """The layers of an application, the outermost first. The last one includes all that is within it."""
    return list(_walk(app, app.build_middleware_stack()))


def _walk(app: FastAPI, layer: Any) -> Iterator[tuple[str, ASGIApp]]:
    while layer is not app.router:
        name = type(layer).__name__
        yield name, layer
        if name == FRAMEWORK:
            return
        layer = layer.app


def measure(app: FastAPI, layers: Layers) -> dict[str, float]:
    """What each layer takes of a `GET /`, in microseconds; the last one with all that is within it."""
    least = dict.fromkeys((name for name, _ in layers), float("inf"))
    for _ in range(TRIES):
        for name, layer in layers:
            least[name] = min(least[name], asyncio.run(_timed(app, layer)))
    inner = [*list(least.values())[1:], 0.0]
    return {name: max(whole - within, 0.0) for (name, whole), within in zip(least.items(), inner, strict=True)}


async def _timed(app: FastAPI, layer: ASGIApp) -> float:
    scopes = [_scope(app) for _ in range(CALLS)]
    began = time.thread_time()
    for scope in scopes:
        await layer(scope, _receive, _send)
    return 1e6 * (time.thread_time() - began) / CALLS


def _scope(app: FastAPI) -> Scope:
    return {
        "type": "http",
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "root_path": "",
        "query_string": b"",
        "headers": list(HEADERS),
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
        "scheme": "http",
        "http_version": "1.1",
        "app": app,
        "request_id": "0" * 32,
    }


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_message: Message) -> None:
    pass


def main() -> None:
    """Print the layers of the service and of the naive one."""
    os.environ |= {name: secrets.token_hex(32) for name in ("SECRET_KEY", "ELASTIC_WEBHOOK_TOKEN")}
    os.environ["DATABASE_URL"] = "postgresql://nobody@127.0.0.1/nothing"  # GET / does not need it
    # They read their settings when they are imported.
    from app.main import app as ours
    from benchmarks.naive.main import app as naive

    [handler] = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    with Path(os.devnull).open("w") as nowhere:
        handler.setStream(nowhere)  # each log line is written all the same
        _show("ours", measure(ours, layers_of(ours)))
        _show("naive", measure(naive, layers_of(naive)))


def _show(title: str, taken: dict[str, float]) -> None:
    print(f"\n{title}: GET /, {sum(taken.values()):.1f} us")
    for name, micros in taken.items():
        print(f"  {name:32}{micros:6.1f}")


if __name__ == "__main__":
    main()
