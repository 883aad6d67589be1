"""Mail by SMTP, or written to files in the data directory if no server is set."""

import re
import smtplib
import time
from dataclasses import dataclass, replace
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Literal

import idna
import structlog
from pydantic import TypeAdapter, ValidationError

from app.core.channel import EMAIL, Channel, Envelope, Outcome, register
from app.core.clock import utcnow
from app.core.config import ChannelSettings, Settings
from app.core.errors import ConfigurationError
from app.core.vocabulary import AttemptOutcome, Severity
from app.integrations.channels.email.headers import WIRE_FORMAT
from app.integrations.channels.email.transport import FileTransport, SmtpTransport, Transport
from app.integrations.channels.urgency import severity_of
from app.schemas.types import Email

log = structlog.get_logger()

REFUSED_FROM = 500  # RFC 5321, section 4.2.1: 4yz may be repeated, 5yz is final
# RFC 3463, section 3.2, and RFC 7505: no such mailbox, moved without a new address, a domain that takes no mail.
GONE = re.compile(r"\b5\.1\.(?:1|6|10)\b")
LOOPBACK_DOMAIN = "localhost"
# Importance and Priority are RFC 2156, section 5.3; X-Priority is what Outlook and Apple Mail look at.
URGENT = {"X-Priority": "1 (Highest)", "Importance": "high", "Priority": "urgent"}

_address: TypeAdapter[str] = TypeAdapter(Email)


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """Sends a message as a mail. Its Message-ID is the idempotency key, so that duplicates can be recognized."""

    sender: Address
    transport: Transport
    name: str = EMAIL

    def send(self, envelope: Envelope) -> Outcome:
        try:
            message = self._compose(envelope)
        except (ValueError, IndexError, MessageError) as error:
            return Outcome(AttemptOutcome.DEAD, error=f"This cannot be mailed: {error}")
        began = time.monotonic()
        try:
            self.transport.deliver(message)
        except (smtplib.SMTPException, OSError, UnicodeError) as error:
            if is_content_refused(error) and envelope.html is not None:
                return self._plainer(envelope, time.monotonic() - began)
            return _refusal(error, envelope)
        return Outcome(AttemptOutcome.ACCEPTED, provider_id=message["Message-ID"])

    def _plainer(self, envelope: Envelope, spent_seconds: float) -> Outcome:
        """The same mail as plain text only: spam filters mostly object to the HTML."""
        log.warning("extras_refused", channel=self.name)
        return replace(self, transport=self.transport.within(spent_seconds)).send(replace(envelope, html=None))

    def provider(self, address: str) -> str:
        return self.transport.host if isinstance(self.transport, SmtpTransport) else LOOPBACK_DOMAIN

    def _compose(self, envelope: Envelope) -> EmailMessage:
        message = self._addressed(envelope)
        if severity_of(envelope) in (Severity.CRITICAL, Severity.HIGH):
            for name, value in URGENT.items():
                message[name] = value
        message.set_content(envelope.body, cte=_encoding(envelope.body))
        if envelope.html is not None:
            encoding = _encoding(envelope.html)
            message.add_alternative(
                envelope.html, subtype="html", cte=encoding
            )  # clients prefer the last part (RFC 2046, section 5.1.4)
        return message

    def _addressed(self, envelope: Envelope) -> EmailMessage:
        """The headers: sender, recipient, and the thread in which a mail client shows it."""
        message = EmailMessage(policy=WIRE_FORMAT)
        message["From"] = self.sender
        message["To"] = _mailbox(envelope.address)
        message["Subject"] = envelope.subject
        message["Date"] = format_datetime(utcnow())
        message["Message-ID"] = f"<{envelope.idempotency_key}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation replies, please
        if envelope.incident_id is not None:
            thread = f"<incident-{envelope.incident_id}@{self._domain}>"
            message["References"] = thread
            message["In-Reply-To"] = thread
        return message

    @property
    def _domain(self) -> str:
        return self.sender.domain or LOOPBACK_DOMAIN


def _mailbox(address: str, name: str = "") -> Address:
    """The address for a header, with an ASCII domain: not every server accepts other letters.

    By IDNA 2008 (RFC 5891): by the older rules of Python's own codec, mail for straße.de would go to strasse.de. Raises
    ValueError, of which `idna.IDNAError` is one, IndexError and MessageError.
    """
    if address.isascii():
        return Address(name, addr_spec=address)
    local, _, domain = address.rpartition("@")
    return Address(name, local, domain if domain.isascii() else idna.encode(domain, uts46=True).decode())


def _sender(written: str) -> Address:
    """The sender's address. Raises ConfigurationError if it cannot send mail."""
    name, address = parseaddr(written)
    try:
        sender = _mailbox(address, name)
    except (ValueError, IndexError, MessageError) as error:
        raise ConfigurationError(
            f"SMTP_FROM is not an e-mail address: {written!r}. Use one such as 'Pager <pager@example.com>'"
        ) from error
    if not (sender.username and sender.domain):
        raise ConfigurationError(
            f"SMTP_FROM is not an e-mail address: {written!r}. Use one such as 'Pager <pager@example.com>'"
        )
    return sender


def _encoding(text: str) -> str:
    """The shorter of the two encodings that every server accepts, even without 8BITMIME."""
    if text.isascii():
        return "quoted-printable"
    outside = sum(len(character.encode("utf-8", "replace")) for character in text if not character.isascii())
    return "base64" if outside * 6 > len(text) + outside else "quoted-printable"


def _refusal(error: Exception, envelope: Envelope) -> Outcome:
    if isinstance(error, smtplib.SMTPNotSupportedError) and not envelope.address.isascii():
        return Outcome(AttemptOutcome.DEAD, error=f"The mail server accepts no such address: {error}"[:1000])
    return replace(_failure(error), is_address_gone=_is_gone(error))


def is_content_refused(error: Exception) -> bool:
    """True if a server accepted the recipient and then refused the mail for good."""
    return isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= REFUSED_FROM


def _is_gone(error: Exception) -> bool:
    """True if a server says that the mailbox does not exist, or no longer exists."""
    code = _reply_code(error)
    is_about_recipient = isinstance(error, smtplib.SMTPRecipientsRefused)
    return is_about_recipient and code is not None and code >= REFUSED_FROM and bool(GONE.search(_reply_text(error)))


def _failure(error: Exception) -> Outcome:
    """Retry after 4yz, a lost connection or a time-out. 5yz is final, unless it is about us and not the mail."""
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
    """Mail. Outside production it needs no server: mails are written to files."""

    name = EMAIL
    order = 10
    settings_type = ChannelSettings
    own_address: Literal["email", "phone_number"] | None = "email"
    is_optional = False
    needs_provider = True
    has_status_updates = True
    shows_html = True
    max_body: int | None = None

    def clean_address(self, address: str, own: ChannelSettings) -> str:
        try:
            return _address.validate_python(address)
        except ValidationError as error:
            raise ValueError("This is not an e-mail address.") from error

    def set_up(self, settings: Settings, own: ChannelSettings) -> Channel | None:
        sender = _sender(settings.smtp_from)
        if settings.smtp_host is None:
            files = FileTransport(settings.data_dir / "mail")
            return None if settings.is_production else EmailChannel(sender, files)
        smtp = SmtpTransport(
            host=settings.smtp_host,
            port=settings.smtp_port,
            tls=settings.smtp_tls,
            timeout_seconds=settings.smtp_timeout_seconds,
            user=settings.smtp_user,
            password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
        )
        return EmailChannel(sender, smtp)
