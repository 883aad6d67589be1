"""Mail: by SMTP, or as files under the data directory while no server is set."""

import os
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as WIRE_FORMAT
from email.utils import format_datetime
from pathlib import Path
from typing import Literal, Protocol

from pydantic import TypeAdapter, ValidationError

from app.core.channel import EMAIL, Channel, Envelope, Outcome, register
from app.core.clock import utcnow
from app.core.config import ChannelSettings, Settings
from app.core.vocabulary import AttemptOutcome
from app.schemas.types import Email

REFUSED_FROM = 500  # RFC 5321, section 4.2.1: 4yz may be repeated, 5yz is final
LOOPBACK_DOMAIN = "localhost"

_address: TypeAdapter[str] = TypeAdapter(Email)


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


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """Sends a message as a mail whose Message-ID is the idempotency key, so that a duplicate can be told."""

    sender: str
    transport: Transport
    name: str = EMAIL

    def send(self, envelope: Envelope) -> Outcome:
        try:
            message = self._compose(envelope)
        except (ValueError, IndexError) as error:
            return Outcome(AttemptOutcome.DEAD, error=f"This cannot be mailed: {error}")
        try:
            self.transport.deliver(message)
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            return _failure(error)
        return Outcome(AttemptOutcome.ACCEPTED, provider_id=message["Message-ID"])

    def provider(self, address: str) -> str:
        return self.transport.host if isinstance(self.transport, SmtpTransport) else LOOPBACK_DOMAIN

    def _compose(self, envelope: Envelope) -> EmailMessage:
        message = EmailMessage(policy=WIRE_FORMAT)
        message["From"] = Address(addr_spec=self.sender)
        message["To"] = Address(addr_spec=envelope.address)
        message["Subject"] = envelope.subject
        message["Date"] = format_datetime(utcnow())
        message["Message-ID"] = f"<{envelope.idempotency_key}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation replies, please
        if envelope.incident_id is not None:
            thread = f"<incident-{envelope.incident_id}@{self._domain}>"
            message["References"] = thread
            message["In-Reply-To"] = thread
        message.set_content(envelope.body)
        return message

    @property
    def _domain(self) -> str:
        return self.sender.rpartition("@")[2] or LOOPBACK_DOMAIN


def _failure(error: Exception) -> Outcome:
    """4yz, a lost connection or a time-out: again. 5yz: final, unless it is about us and not about the mail."""
    code = _reply_code(error)
    about_us = isinstance(error, smtplib.SMTPAuthenticationError | smtplib.SMTPNotSupportedError)
    is_final = code is not None and code >= REFUSED_FROM and not about_us
    result = AttemptOutcome.DEAD if is_final else AttemptOutcome.RETRY
    return Outcome(result, status_code=code, error=f"{type(error).__name__}: {_reply_text(error)}"[:1000])


def _reply_code(error: Exception) -> int | None:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return next((code for code, _ in error.recipients.values()), None)
    return error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else None


def _reply_text(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException) and isinstance(error.smtp_error, bytes):
        return f"{error.smtp_code} {error.smtp_error.decode('utf-8', 'replace')}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{code} {text!r}" for code, text in error.recipients.values())
    return str(error)


@register
class EmailType:
    """Mail. Outside production it needs no server: it is written into files."""

    name = EMAIL
    settings_type = ChannelSettings
    own_address: Literal["email", "phone_number"] | None = "email"
    is_optional = False

    def clean_address(self, address: str, own: ChannelSettings) -> str:
        try:
            return _address.validate_python(address)
        except ValidationError as error:
            raise ValueError("This is not an e-mail address.") from error

    def set_up(self, settings: Settings, own: ChannelSettings) -> Channel | None:
        if settings.smtp_host is None:
            files = FileTransport(settings.data_dir / "mail")
            return None if settings.is_production else EmailChannel(settings.smtp_from, files)
        smtp = SmtpTransport(
            host=settings.smtp_host,
            port=settings.smtp_port,
            tls=settings.smtp_tls,
            timeout_seconds=settings.smtp_timeout_seconds,
            user=settings.smtp_user,
            password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
        )
        return EmailChannel(settings.smtp_from, smtp)
