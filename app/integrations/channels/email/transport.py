"""The transports of a mail: a connection to an SMTP server, or a file."""

import os
import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Literal, Protocol

from app.integrations.addresses import resolve
from app.integrations.connections import Lines, Watch

MAX_ADDRESSES = 4


class Transport(Protocol):
    """Hands a complete mail over. Raises smtplib.SMTPException or OSError."""

    def deliver(self, message: EmailMessage) -> None: ...

    def within(self, spent_seconds: float) -> "Transport":
        """The same transport for a second try, after so many seconds of the deadline."""
        ...


@dataclass(frozen=True, slots=True)
class SmtpTransport:
    """One connection for each mail: nothing to keep alive, and a slow mail delays no other.

    `timeout_seconds` bounds all of it, from looking up the host to the goodbye. `own_name` is what EHLO says: looked
    up once, because smtplib would ask the name servers for each mail, without a limit.
    """

    host: str
    port: int
    tls: Literal["none", "starttls", "tls"]
    timeout_seconds: float
    user: str | None = None
    password: str | None = None
    own_name: str = field(default_factory=lambda: smtplib.SMTP().local_hostname)

    def deliver(self, message: EmailMessage) -> None:
        with Watch(self.timeout_seconds) as watch:
            try:
                self._exchange(message, watch)
            except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused):
                raise  # the server answered, whatever happened after that
            except OSError as error:
                if watch.has_expired or isinstance(error, TimeoutError):
                    raise TimeoutError(f"The mail was not accepted within {self.timeout_seconds:g} s.") from error
                raise

    def within(self, spent_seconds: float) -> "SmtpTransport":
        return replace(self, timeout_seconds=max(self.timeout_seconds - spent_seconds, 1.0))

    def _exchange(self, message: EmailMessage, watch: Watch) -> None:
        with _line_to(self.host, self.port, watch) as line, self._session(line, watch) as smtp:
            if self.tls == "starttls":
                smtp.starttls(context=ssl.create_default_context())
            if self.user is not None:
                smtp.login(self.user, self.password or "")
            smtp.send_message(message)

    @contextmanager
    def _session(self, line: socket.socket, watch: Watch) -> Iterator[smtplib.SMTP]:
        smtp = _Session(self._spoken_over(line), watch, self.host, self.own_name)
        try:
            yield smtp
        finally:
            _hang_up(smtp)

    def _spoken_over(self, line: socket.socket) -> socket.socket:
        """The session's own handle of the socket: TLS and smtplib replace and close theirs."""
        if self.tls == "tls":
            return ssl.create_default_context().wrap_socket(line.dup(), server_hostname=self.host)
        return line.dup()


class _Session(smtplib.SMTP):
    """An SMTP session over an open connection. After the watch has ended it, nothing counts as an answer."""

    def __init__(self, connected: socket.socket, watch: Watch, host: str, own_name: str) -> None:
        self._connected, self._watch = connected, watch
        super().__init__(host, local_hostname=own_name)

    def connect(self, host: str = "", port: int = 0, source_address: Any = None) -> tuple[int, bytes]:
        self.sock, self.file = self._connected, None
        return self.getreply()

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = Lines(self.sock.makefile("rb").detach())
        answer = super().getreply()
        if self._watch.has_expired:  # a truncated "250-" reads as "250"
            self.close()
            raise smtplib.SMTPServerDisconnected("The answer was cut off.")
        return answer


@contextmanager
def _line_to(host: str, port: int, watch: Watch) -> Iterator[socket.socket]:
    """A connection that only the watch ends: no single read has a time-out."""
    with _connected(resolve(host, port, seconds=watch.remaining())[:MAX_ADDRESSES], port, watch) as line:
        line.settimeout(None)
        watch.connected = line
        watch.check()
        yield line


def _connected(addresses: list[str], port: int, watch: Watch) -> socket.socket:
    """A connection to the first address that accepts one. Each address gets a share of the time."""
    for tried, address in enumerate(addresses[:-1]):
        with suppress(OSError):
            return socket.create_connection((address, port), watch.remaining() / (len(addresses) - tried))
    return socket.create_connection((addresses[-1], port), watch.remaining())


def _hang_up(smtp: smtplib.SMTP) -> None:
    """Send QUIT if the server still listens. The outcome of the mail is already decided."""
    try:
        smtp.quit()
    except (smtplib.SMTPException, OSError):
        smtp.close()


@dataclass(frozen=True, slots=True)
class FileTransport:
    """Writes each mail to an .eml file, atomically. The same mail again replaces its file."""

    directory: Path

    def within(self, spent_seconds: float) -> "FileTransport":
        return self

    def deliver(self, message: EmailMessage) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]
        draft = self.directory / f".{name}.{os.getpid()}"
        draft.touch(mode=0o600)  # it contains reset tokens and the links of pages
        draft.write_bytes(message.as_bytes())
        draft.rename(self.directory / f"{name}.eml")
