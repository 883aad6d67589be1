"""Ports for the servers of tests."""

import socket
from contextlib import suppress
from itertools import count

FIRST = 20_000  # below those that the system gives to whoever asks for any
EACH = 1000  # for each process of the suite
_numbers = count()


def next_port(process: int) -> int:
    """A port on which nobody listens, and that this process has not given away lately."""
    for _ in range(EACH):
        port = FIRST + EACH * process + next(_numbers) % EACH
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("no port is free")
