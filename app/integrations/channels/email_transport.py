"""Ways that a complete mail takes: a connection to an SMTP server, or a file."""

import os
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Literal, Protocol


class Transport(Protocol):
    """Hands a complete mail over. Raises smtplib.SMTPException or OSError."""

    def deliver(self, message: EmailMessage) -> None: ...


@dataclass(frozen=True, slots=True)
class SmtpTransport:
    """A connection for each mail: nothing to keep alive, nothing that one slow mail can hold up."""

    host: str
    port: int
    tls: Literal["none", "starttls", "tls"]
    timeout_seconds: float
    user: str | None = None
    password: str | None = None

    def deliver(self, message: EmailMessage) -> None:
        with self._connection() as smtp:
            smtp.send_message(message)

    @contextmanager
    def _connection(self) -> Iterator[smtplib.SMTP]:
        smtp = self._connect()
        try:
            if self.tls == "starttls":
                smtp.starttls(context=ssl.create_default_context())
            if self.user is not None:
                smtp.login(self.user, self.password or "")
            yield smtp
        finally:
            _hang_up(smtp)

    def _connect(self) -> smtplib.SMTP:
        if self.tls == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self.host, self.port, timeout=self.timeout_seconds, context=context)
        return smtplib.SMTP(self.host, self.port, timeout=self.timeout_seconds)


def _hang_up(smtp: smtplib.SMTP) -> None:
    """Say goodbye if the server still listens: the mail's fate was decided before."""
    try:
        smtp.quit()
    except (smtplib.SMTPException, OSError):
        smtp.close()


@dataclass(frozen=True, slots=True)
class FileTransport:
    """Writes each mail as an .eml file that appears whole or not at all; the same mail twice is one file."""

    directory: Path

    def deliver(self, message: EmailMessage) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]
        draft = self.directory / f".{name}.{os.getpid()}"
        draft.write_bytes(message.as_bytes())
        draft.rename(self.directory / f"{name}.eml")
