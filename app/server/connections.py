"""The open connections of one process, and which of them gives way when there are too many."""

from enum import IntEnum
from typing import Protocol

from app.server.limits import ConnectionLimits

GRACE_SECONDS = 0.1  # a client that has just connected is about to say what it wants


class Phase(IntEnum):
    """What a connection is doing, in the order in which connections give way to new ones."""

    SILENT = 0  # has asked for nothing yet
    IDLE = 1  # was answered, and may ask again
    RECEIVING = 2  # is sending a body
    ANSWERING = 3  # waits for us: never gives way


class Connection(Protocol):
    """A client at the other end."""

    def hang_up(self) -> None:
        """Close the connection at once."""
        ...

    def unsent(self) -> int:
        """How many bytes of an answer the client has not read yet."""
        ...


class Connections:
    """Every open connection with its phase and since when it is in it (seconds), the longest first."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.turned_away = 0
        self._phases: dict[Phase, dict[Connection, float]] = {phase: {} for phase in Phase}
        self._phase_of: dict[Connection, Phase] = {}
        self._unsent: dict[Connection, int] = {}

    def __len__(self) -> int:
        return len(self._phase_of)

    def admit(self, connection: Connection, *, at: float) -> bool:
        """Take a new connection in, if need be in the place of another. False if none can give way."""
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
        """Say what a connection is doing now."""
        self.drop(connection)
        self._phase_of[connection] = phase
        self._phases[phase][connection] = at

    def drop(self, connection: Connection) -> None:
        """Forget a connection that was closed."""
        phase = self._phase_of.pop(connection, None)
        if phase is not None:
            del self._phases[phase][connection]
        self._unsent.pop(connection, None)

    def phase(self, connection: Connection) -> Phase | None:
        """None: it was never taken in, or was closed."""
        return self._phase_of.get(connection)

    def hang_up_on_late(self, *, at: float) -> int:
        """Close what has sent no whole head in time. Returns how many.

        A client that still reads its last answer, however slowly, has that long again.
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
