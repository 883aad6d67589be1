"""The open connections of one process, and which to close when there are too many."""

from enum import IntEnum
from typing import Protocol

from app.server.limits import ConnectionLimits

GRACE_SECONDS = 0.1  # a client that has just connected is about to send its request


class Phase(IntEnum):
    """The phase of a connection, in the order in which connections are closed for new ones."""

    SILENT = 0  # has not sent a request yet
    IDLE = 1  # was answered, and may send another request
    RECEIVING = 2  # is sending a body
    ANSWERING = 3  # waits for our answer: never closed


class Connection(Protocol):
    """A client at the other end."""

    def hang_up(self) -> None:
        """Close the connection at once."""
        ...

    def unsent(self) -> int:
        """The number of answer bytes the client has not read yet."""
        ...


class Connections:
    """All open connections by phase, with the time they entered it (seconds), longest first."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.turned_away = 0
        self._phases: dict[Phase, dict[Connection, float]] = {phase: {} for phase in Phase}
        self._phase_of: dict[Connection, Phase] = {}
        self._unsent: dict[Connection, int] = {}

    def __len__(self) -> int:
        return len(self._phase_of)

    def admit(self, connection: Connection, *, at: float) -> bool:
        """Accept a new connection, closing another one if needed. False if none can be closed."""
        if len(self) >= self.limits.connections:
            self.turned_away += 1
            giving_way = self._longest_waiting(at)
            if giving_way is None:
                return False
            self.drop(giving_way)
            giving_way.hang_up()
        self.move(connection, Phase.SILENT, at=at)
        return True

    def move(self, connection: Connection, phase: Phase, *, at: float) -> None:
        """Set the phase of a connection."""
        former = self._phase_of.get(connection)
        if former is not None:
            del self._phases[former][connection]
        self._phase_of[connection] = phase
        self._phases[phase][connection] = at
        if self._unsent:
            self._unsent.pop(connection, None)

    def drop(self, connection: Connection) -> None:
        """Remove a closed connection."""
        phase = self._phase_of.pop(connection, None)
        if phase is not None:
            del self._phases[phase][connection]
        self._unsent.pop(connection, None)

    def phase(self, connection: Connection) -> Phase | None:
        """The connection's phase. None if it was not accepted, or was closed."""
        return self._phase_of.get(connection)

    def hang_up_on_late(self, *, at: float) -> int:
        """Close connections that have not sent a complete head in time. Returns how many.

        A client that is still reading its last answer, however slowly, gets the same time again.
        """
        due = at - self.limits.head_seconds
        late = [c for phase in (Phase.SILENT, Phase.IDLE) for c in self._overdue(phase, due)]
        closed = 0
        for connection in late:
            unsent = connection.unsent()
            if 0 < unsent < self._unsent.get(connection, unsent + 1):
                self.move(connection, Phase.IDLE, at=at)
                self._unsent[connection] = unsent
                continue
            self.drop(connection)
            connection.hang_up()
            closed += 1
        return closed

    def _longest_waiting(self, at: float) -> Connection | None:
        for phase in (Phase.SILENT, Phase.IDLE, Phase.RECEIVING):
            connection, since = next(iter(self._phases[phase].items()), (None, at))
            if connection is not None and since <= at - GRACE_SECONDS:
                return connection
        return None

    def _overdue(self, phase: Phase, due: float) -> list[Connection]:
        found = []
        for connection, since in self._phases[phase].items():
            if since > due:
                break
            found.append(connection)
        return found
