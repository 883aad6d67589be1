"""Limits on the process's resources for network clients."""

from dataclasses import dataclass

# File descriptors reserved for paging: the database, providers, the resolver, and files.
KEPT_DESCRIPTORS = 256
LEAST_BACKLOG, MOST_BACKLOG = 128, 2048


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of a process. A head is the request line with the headers.

    `backlog` is the number of clients that the system lets wait. All of them may be accepted before one can be turned
    away, so they count too.
    """

    connections: int
    backlog: int = MOST_BACKLOG
    head_bytes: int = 32 * 1024
    head_fields: int = 200
    head_seconds: float = 30.0
    pipelined: int = 16


def within(descriptors: int, *, wanted: int) -> ConnectionLimits:
    """The wanted number of connections, or as many as leave enough descriptors for paging."""
    free = max(descriptors - KEPT_DESCRIPTORS, 2 * LEAST_BACKLOG)
    connections = min(wanted, free - LEAST_BACKLOG)
    return ConnectionLimits(connections, backlog=min(free - connections, MOST_BACKLOG))


def needed(connections: int) -> int:
    """The number of descriptors needed for that many connections."""
    return connections + KEPT_DESCRIPTORS + LEAST_BACKLOG
