"""Shows what the load generator itself can do, against a server that answers at once: `python -m benchmarks.ceiling`.

A service whose figure comes near this one was not measured, the generator was.
"""

import asyncio
import itertools
import multiprocessing
import socket
from typing import cast

import uvloop

from benchmarks.load import Group, Timing, drive
from benchmarks.wire import get

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
SECONDS = 3.0


class _AtOnce(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is no subclass

    def data_received(self, _data: bytes) -> None:
        self._transport.write(ANSWER)


async def _serve(listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(_AtOnce, sock=listener)
    await server.serve_forever()


def _run(listener: socket.socket) -> None:
    uvloop.run(_serve(listener))


def main() -> None:
    """Print its requests a second with 32 and 512 clients, and the processor time that one takes."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        server = multiprocessing.get_context("fork").Process(target=_run, args=(listener,), daemon=True)
        server.start()
        try:
            for clients in (32, 512):
                group = Group(itertools.repeat(get("/")), clients)
                run = drive(listener.getsockname()[1], [group], Timing(SECONDS))
                rate = run.samples[0].rate
                cost = 1_000_000 * run.generator_share / max(rate, 1)
                print(f"{clients:>4} clients: {rate:,.0f} requests/s, {cost:.1f} µs of processor time for each")
        finally:
            server.kill()
            server.join()


if __name__ == "__main__":
    main()
