"""The transports of a mail: a connection to an SMTP server, or a file."""

import os
import smtplib
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Literal, Protocol

from app.integrations.addresses import resolve
from app.integrations.channels.email.session import CLOSING, Session, Sessions
from app.integrations.connections import Watch

MAX_ADDRESSES = 4


class Transport(Protocol):
    """Hands a complete mail over. Raises smtplib.SMTPException or OSError."""

    def deliver(self, message: EmailMessage) -> None: ...

    def within(self, spent_seconds: float) -> "Transport":
        """The same transport for a second try, after so many seconds of the deadline."""
        ...


@dataclass(frozen=True, slots=True)
class SmtpTransport:
    """Mails to one server, several in a session. A slow mail delays no other: each waits in a session of its own.

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
    sessions: Sessions = field(default_factory=Sessions, repr=False, compare=False)

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
        session = self.sessions.take(watch)
        if session is None or not self._is_taken(session, message):
            self._send(self._new_session(watch), message)

    def _is_taken(self, session: Session, message: EmailMessage) -> bool:
        """Send a mail in a session that took others before. False if the server ends it before this mail begins."""
        try:
            self._send(session, message)
        except smtplib.SMTPSenderRefused as error:
            if error.smtp_code != CLOSING:
                raise
            return False
        return True

    def _send(self, session: Session, message: EmailMessage) -> None:
        """Send a mail, and keep the session for the next one if it was accepted."""
        try:
            session.send_message(message)
        except BaseException:
            session.hang_up()
            raise
        self.sessions.keep(session)

    def _new_session(self, watch: Watch) -> Session:
        line = _line_to(self.host, self.port, watch)
        try:
            session = Session(line, self._spoken_over(line), watch, self.host, self.own_name)
        except BaseException:
            line.close()
            raise
        try:
            self._introduce(session)
        except BaseException:
            session.hang_up()
            raise
        return session

    def _introduce(self, session: Session) -> None:
        if self.tls == "starttls":
            session.starttls(context=ssl.create_default_context())
        if self.user is not None:
            session.login(self.user, self.password or "")

    def _spoken_over(self, line: socket.socket) -> socket.socket:
        """The session's own handle of the connection."""
        if self.tls == "tls":
            return ssl.create_default_context().wrap_socket(line.dup(), server_hostname=self.host)
        return line.dup()


def _line_to(host: str, port: int, watch: Watch) -> socket.socket:
    """A connection that only the watch ends: no single read has a time-out."""
    line = _connected(resolve(host, port, seconds=watch.remaining())[:MAX_ADDRESSES], port, watch)
    line.settimeout(None)
    watch.connected = line
    try:
        watch.check()
    except TimeoutError:
        line.close()
        raise
    return line


def _connected(addresses: list[str], port: int, watch: Watch) -> socket.socket:
    """A connection to the first address that accepts one. Each address gets a share of the time."""
    for tried, address in enumerate(addresses[:-1]):
        with suppress(OSError):
            return socket.create_connection((address, port), watch.remaining() / (len(addresses) - tried))
    return socket.create_connection((addresses[-1], port), watch.remaining())


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
