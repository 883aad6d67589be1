"""An SMTP server that answers in its own time, if at all, and remembers what it was asked in each session."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

DRIP_SECONDS = 0.05  # between two bytes: no time-out of a single read is ever reached
RECORD = b"\x16\x03\x03\x40\x00"  # a long record of a TLS handshake begins


@dataclass
class Drip:
    """Says `first`, and then `byte` again and again, until the other side has gone."""

    first: bytes = b""
    byte: bytes = b"x"


@dataclass
class Cut:
    """Says this, and closes the connection in good order."""

    text: bytes


Answer = bytes | Drip | Cut
ANSWERS: dict[str, Answer] = {"DATA": b"354 go on\r\n", "QUIT": b"221 bye\r\n"}
SILENCE = b""


@dataclass
class Tarpit:
    """Answers each command as `answers` say at that moment, and agrees to what they do not name.

    `context` speaks TLS: from the first byte if `is_wrapped`, otherwise after STARTTLS.
    """

    pause_seconds: float = 0.0
    banner: Answer = b"220 tarpit\r\n"
    answers: dict[str, Answer] = field(default_factory=dict)
    context: ssl.SSLContext | None = None
    is_wrapped: bool = False
    sessions: list[list[str]] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def commands(self) -> list[str]:
        """The commands of all sessions, one session after the other."""
        return [command for session in self.sessions for command in session]

    def admit(self, connection: socket.socket) -> int:
        """Take a connection. Returns the number of its session."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what it says is there at once
        self.connections.append(connection)
        self.sessions.append([])
        return len(self.sessions) - 1

    def serve(self, number: int) -> None:
        connection = self.connections[number]
        with connection, suppress(OSError):
            spoken = self._wrapped(connection) if self.is_wrapped else connection
            self.say(spoken, self.banner)
            self._converse(spoken, self.sessions[number])
        self.ended.append(number)

    def _converse(self, connection: socket.socket, commands: list[str]) -> None:
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                command = line.decode("latin-1").strip().upper().partition(" ")[0]
                commands.append(command)
                self.say(connection, self.answers.get(command, b"250 OK\r\n"))
                if command == "STARTTLS":
                    self._start_tls(connection, commands)
                    return
                if command == "DATA":
                    self._take_mail(connection, lines, commands)

    def _wrapped(self, connection: socket.socket) -> socket.socket:
        assert self.context is not None
        return self.context.wrap_socket(connection.dup(), server_side=True)

    def _start_tls(self, connection: socket.socket, commands: list[str]) -> None:
        if self.context is not None:
            self._converse(self._wrapped(connection), commands)
            return
        connection.recv(1)  # it says hello
        self.say(connection, Drip(RECORD))

    def _take_mail(self, connection: socket.socket, lines: Any, commands: list[str]) -> None:
        while (line := lines.readline()) and line != b".\r\n":
            pass
        commands.append(".")
        self.say(connection, self.answers.get(".", b"250 OK\r\n"))

    def say(self, connection: socket.socket, answer: Answer) -> None:
        self.stopping.wait(self.pause_seconds)
        if isinstance(answer, bytes):
            connection.sendall(answer)
            return
        if isinstance(answer, Cut):
            connection.sendall(answer.text)
            raise ConnectionAbortedError
        connection.sendall(answer.first)
        while not self.stopping.wait(DRIP_SECONDS):
            connection.sendall(answer.byte)
        raise ConnectionAbortedError


@contextmanager
def listening(tarpit: Tarpit) -> Iterator[int]:
    """Runs the server, each connection in a thread of its own, and tells its port."""
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepting = threading.Thread(target=lambda: _accept(server, tarpit, threads))
        accepting.start()
        try:
            yield server.getsockname()[1]
        finally:
            tarpit.stopping.set()
            with suppress(OSError), socket.create_connection(server.getsockname(), 1):
                pass  # wakes a server that waits for the next connection
            accepting.join(10)
            for connection in tarpit.connections:
                with suppress(OSError):
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
            for thread in threads:
                thread.join(10)


def _accept(server: socket.socket, tarpit: Tarpit, threads: list[threading.Thread]) -> None:
    while True:
        connection = server.accept()[0]
        if tarpit.stopping.is_set():
            connection.close()
            return
        threads.append(threading.Thread(target=tarpit.serve, args=[tarpit.admit(connection)]))
        threads[-1].start()
