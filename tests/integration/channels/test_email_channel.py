"""Mail to a real SMTP server, and as files."""

import os
import ssl
import stat
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage, Message
from email.policy import default
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from structlog.testing import capture_logs

from app.core.channel import Envelope
from app.core.config import ChannelSettings, Settings
from app.core.errors import ConfigurationError
from app.core.facts import BundleFacts, Facts, PageFacts, read
from app.core.vocabulary import AttemptOutcome, NotificationKind
from app.integrations.channels.email.channel import EmailChannel, EmailType
from app.integrations.channels.email.session import Sessions
from app.integrations.channels.email.transport import FileTransport, SmtpTransport
from tests.support.envelopes import KEY, page_facts

SENDER = Address(addr_spec="incidents@example.com")
ENVELOPE = Envelope(
    address="ada@example.com",
    subject="[HIGH] Datenbank ist überlastet",
    body="Bitte ansehen.\n",
    idempotency_key=KEY,
    incident_id=7,
)


class Mailbox:
    """Takes mail, or answers as it is told."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.recipients: list[str] = []
        self.contents: list[bytes] = []
        self.rcpt_answer = "250 OK"
        self.data_answers: list[str] = []

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if self.rcpt_answer.startswith("250"):
            envelope.rcpt_tos.append(address)
            self.recipients.append(address)
        return self.rcpt_answer

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.contents.append(envelope.content)
        if self.data_answers:
            return self.data_answers.pop(0)
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        return "250 OK"


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def smtp(mailbox: Mailbox, stack: ExitStack, free_port: int) -> Callable[..., int]:
    """Starts an SMTP server and tells its port."""

    def start(**options: Any) -> int:
        controller = Controller(mailbox, hostname="127.0.0.1", port=free_port, ready_timeout=60, **options)
        controller.start()
        stack.callback(controller.stop)
        return free_port

    return start


def channel(port: int, **options: Any) -> EmailChannel:
    """Sends to this server. It ends each session, so that none is left when the server stops."""
    given = {"tls": "none", "timeout_seconds": 30.0, "sessions": Sessions(mails=1), **options}
    transport = SmtpTransport(host="127.0.0.1", port=port, **given)
    return EmailChannel(SENDER, transport=transport)


def test_a_mail_arrives_as_it_was_meant(smtp: Callable[..., int], mailbox: Mailbox) -> None:
    outcome = channel(smtp()).send(ENVELOPE)
    assert outcome.result is AttemptOutcome.ACCEPTED
    [mail] = mailbox.mails
    assert mailbox.recipients == ["ada@example.com"]
    assert mail["Subject"] == ENVELOPE.subject
    assert mail["From"] == "incidents@example.com"
    assert mail.get_content().splitlines() == ["Bitte ansehen."]  # type: ignore[attr-defined]  # policy default
    assert mail["Message-ID"] == outcome.provider_id == f"<{KEY}@example.com>"


def test_the_same_message_has_the_same_id_each_time(smtp: Callable[..., int], mailbox: Mailbox) -> None:
    sender = channel(smtp())
    sender.send(ENVELOPE)
    sender.send(ENVELOPE)
    assert mailbox.mails[0]["Message-ID"] == mailbox.mails[1]["Message-ID"]


def test_a_mail_client_shows_the_pages_of_one_incident_as_one_thread(
    smtp: Callable[..., int], mailbox: Mailbox
) -> None:
    sender = channel(smtp())
    for envelope in (ENVELOPE, replace(ENVELOPE, idempotency_key=uuid4()), replace(ENVELOPE, incident_id=8)):
        assert sender.send(envelope).result is AttemptOutcome.ACCEPTED
    first, second, other = mailbox.mails
    assert first["Message-ID"] != second["Message-ID"]
    assert first["References"] == first["In-Reply-To"] == "<incident-7@example.com>"
    assert second["References"] == second["In-Reply-To"] == first["References"]
    assert other["References"] != first["References"]


def test_what_is_about_no_incident_is_in_no_thread(smtp: Callable[..., int], mailbox: Mailbox) -> None:
    channel(smtp()).send(replace(ENVELOPE, incident_id=None))
    [mail] = mailbox.mails
    assert (mail["References"], mail["In-Reply-To"], mail["Importance"]) == (None, None, None)


def test_a_mail_with_html_offers_the_same_as_text_first(smtp: Callable[..., int], mailbox: Mailbox) -> None:
    html = "<p>Bitte <b>ansehen</b>: Störung.</p>"
    outcome = channel(smtp()).send(replace(ENVELOPE, html=html))
    assert outcome.result is AttemptOutcome.ACCEPTED
    [mail] = mailbox.mails
    assert mail.get_content_type() == "multipart/alternative"
    parts = [(part.get_content_type(), part.get_content().strip()) for part in mail.iter_parts()]  # type: ignore[attr-defined]  # policy default
    assert parts == [("text/plain", "Bitte ansehen."), ("text/html", html)]
    assert (mail["References"], mail["Message-ID"]) == ("<incident-7@example.com>", f"<{KEY}@example.com>")


def page_of(severity: str) -> PageFacts:
    return page_facts(severity=severity)


@pytest.mark.parametrize(
    ("facts", "is_urgent"),
    [
        (page_of("critical"), True),
        (page_of("high"), True),
        (page_of("medium"), False),
        (page_of("low"), False),
        (BundleFacts((page_of("low"), page_of("high"))), True),
        (BundleFacts((page_of("low"), page_of("medium"))), False),
        (read(NotificationKind.PAGE, {"incident": "seven"}), False),
        (None, False),
    ],
)
def test_a_page_of_a_critical_or_high_incident_is_marked_urgent(
    smtp: Callable[..., int], mailbox: Mailbox, facts: Facts | None, is_urgent: bool
) -> None:
    channel(smtp()).send(replace(ENVELOPE, facts=facts))
    [mail] = mailbox.mails
    marks = [mail["X-Priority"], mail["Importance"], mail["Priority"]]
    assert marks == (["1 (Highest)", "high", "urgent"] if is_urgent else [None] * 3)


@pytest.mark.parametrize(
    ("answer", "result", "code"),
    [
        ("451 try later", AttemptOutcome.RETRY, 451),
        ("421 closing", AttemptOutcome.RETRY, 421),
        ("550 no such user", AttemptOutcome.DEAD, 550),
    ],
)
def test_4yz_is_tried_again_and_5yz_is_final(
    smtp: Callable[..., int], mailbox: Mailbox, answer: str, result: AttemptOutcome, code: int
) -> None:
    mailbox.rcpt_answer = answer
    outcome = channel(smtp()).send(ENVELOPE)
    assert (outcome.result, outcome.status_code) == (result, code)
    assert answer.partition(" ")[2] in (outcome.error or "")


@pytest.mark.parametrize(
    ("answer", "is_gone"),
    [
        ("550 5.1.1 No such user here", True),
        ("551 5.1.6 The mailbox has moved", True),
        ("556 5.1.10 The domain takes no mail", True),
        ("550 No such user here", False),
        ("550 5.7.1 We do not like you", False),
        ("552 5.2.2 The mailbox is full", False),
        ("450 4.1.1 Not known yet", False),
    ],
)
def test_a_mailbox_that_the_server_does_not_know_is_gone(
    smtp: Callable[..., int], mailbox: Mailbox, answer: str, is_gone: bool
) -> None:
    mailbox.rcpt_answer = answer
    assert channel(smtp()).send(ENVELOPE).is_address_gone is is_gone


@pytest.mark.parametrize("text", ["Bitte ansehen: Überlast.\n", "障害が発生しました。\n" * 30, "x" * 2000 + "\n"])
def test_every_mail_is_of_7_bits(smtp: Callable[..., int], mailbox: Mailbox, text: str) -> None:
    channel(smtp()).send(replace(ENVELOPE, body=text, html=f"<p>{text}</p>"))
    [content], [mail] = mailbox.contents, mailbox.mails
    assert content.isascii()
    assert all(len(line) <= 78 for line in content.splitlines())
    assert isinstance(mail, EmailMessage)
    parts = list(mail.walk())[1:]
    assert {part["Content-Transfer-Encoding"] for part in parts} <= {"quoted-printable", "base64"}
    assert parts[0].get_content().replace("\r\n", "\n") == text


def test_a_mail_whose_html_is_refused_goes_as_text_at_once(smtp: Callable[..., int], mailbox: Mailbox) -> None:
    mailbox.data_answers = ["554 5.7.1 This looks like spam"]
    with capture_logs() as logs:
        outcome = channel(smtp()).send(replace(ENVELOPE, html="<p>Bitte ansehen.</p>"))
    assert outcome.result is AttemptOutcome.ACCEPTED
    assert [(line["event"], line["log_level"]) for line in logs] == [("extras_refused", "warning")]
    assert [mail.get_content_type() for mail in mailbox.mails] == ["text/plain"]


def test_a_server_that_is_not_there_is_tried_again(deaf_port: int) -> None:
    assert channel(deaf_port).send(ENVELOPE).result is AttemptOutcome.RETRY


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL trusts the server's certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


def test_starttls_refuses_a_certificate_that_nobody_vouches_for(
    smtp: Callable[..., int], mailbox: Mailbox, server_tls: ssl.SSLContext
) -> None:
    refused = channel(smtp(tls_context=server_tls, require_starttls=True), tls="starttls").send(ENVELOPE)
    assert refused.result is AttemptOutcome.RETRY
    assert "CERTIFICATE_VERIFY_FAILED" in (refused.error or "")
    assert mailbox.mails == []


@pytest.mark.usefixtures("trusted")
def test_the_password_goes_over_starttls_and_a_wrong_one_is_retried(
    smtp: Callable[..., int], mailbox: Mailbox, server_tls: ssl.SSLContext
) -> None:
    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        return AuthResult(success=given == LoginPassword(b"pager", b"secret"), handled=False)

    port = smtp(tls_context=server_tls, require_starttls=True, authenticator=authenticate, auth_required=True)
    wrong = channel(port, tls="starttls", user="pager", password="wrong").send(ENVELOPE)
    assert (wrong.result, wrong.status_code, mailbox.mails) == (AttemptOutcome.RETRY, 535, [])
    right = channel(port, tls="starttls", user="pager", password="secret").send(ENVELOPE)
    assert right.result is AttemptOutcome.ACCEPTED
    assert len(mailbox.mails) == 1


@pytest.mark.usefixtures("trusted")
def test_a_server_that_speaks_tls_at_once_is_understood(
    smtp: Callable[..., int], mailbox: Mailbox, server_tls: ssl.SSLContext
) -> None:
    port = smtp(ssl_context=server_tls)
    assert channel(port, tls="tls").send(ENVELOPE).result is AttemptOutcome.ACCEPTED
    assert len(mailbox.mails) == 1


def test_an_address_that_is_none_is_final(tmp_path: Path) -> None:
    sender = EmailChannel(SENDER, transport=FileTransport(tmp_path))
    envelope = Envelope("not an address", "s", "b", KEY, None)
    assert sender.send(envelope).result is AttemptOutcome.DEAD


def test_without_a_server_a_mail_is_a_file_that_duplicates_do_not_multiply(tmp_path: Path) -> None:
    sender = EmailChannel(SENDER, transport=FileTransport(tmp_path / "mail"))
    assert sender.send(ENVELOPE).result is AttemptOutcome.ACCEPTED
    assert sender.send(ENVELOPE).result is AttemptOutcome.ACCEPTED
    [file] = (tmp_path / "mail").iterdir()
    mail = message_from_bytes(file.read_bytes(), policy=default)
    assert (file.suffix, mail["Subject"]) == (".eml", ENVELOPE.subject)


def test_a_mail_that_is_a_file_is_for_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir(mode=0o755)  # made by somebody else
    before = os.umask(0)
    try:
        EmailChannel(SENDER, transport=FileTransport(tmp_path / "mail")).send(ENVELOPE)
    finally:
        os.umask(before)
    [file] = (tmp_path / "mail").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def written(envelope: Envelope, directory: Path) -> EmailMessage:
    """The mail, as a mail client reads it."""
    assert EmailChannel(SENDER, FileTransport(directory)).send(envelope).result is AttemptOutcome.ACCEPTED
    [file] = directory.iterdir()
    mail = message_from_bytes(file.read_bytes(), policy=default)
    assert isinstance(mail, EmailMessage)
    return mail


def test_a_title_adds_neither_a_header_nor_a_body(tmp_path: Path) -> None:
    title = "=?utf-8?q?Disk=0D=0AReply-To:_evil=40example.org=0D=0A=0D=0AFalse_alarm?="
    mail = written(replace(ENVELOPE, subject=title), tmp_path / "mail")
    assert mail["Reply-To"] is None
    assert mail["Message-ID"] == f"<{KEY}@example.com>"
    assert mail.get_content().splitlines() == ["Bitte ansehen."]
    assert mail["Subject"] == title  # as text: what looks encoded in it is none


@pytest.mark.parametrize(
    ("address", "shown"),
    [("ada@bücher.example", "ada@xn--bcher-kva.example"), ("jörg@ex_ample.com", "jörg@ex_ample.com")],
)
def test_an_address_may_have_other_letters_than_ascii(tmp_path: Path, address: str, shown: str) -> None:
    [mailbox] = written(replace(ENVELOPE, address=address), tmp_path / "mail")["To"].addresses
    assert f"{mailbox.username}@{mailbox.domain}" == shown


@pytest.mark.parametrize(
    ("domain", "asked"),
    [
        ("straße.de", "xn--strae-oqa.de"),
        ("βόλος.com", "xn--nxasmm1c.com"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("faß.xn--bcher-kva.example", "xn--fa-hia.xn--bcher-kva.example"),
    ],
)
def test_the_mail_is_for_the_domain_that_was_written_and_no_other(
    smtp: Callable[..., int], mailbox: Mailbox, domain: str, asked: str
) -> None:
    outcome = channel(smtp()).send(replace(ENVELOPE, address=f"oncall@{domain}"))
    assert outcome.result is AttemptOutcome.ACCEPTED
    [mail] = mailbox.mails
    assert (mailbox.recipients, mail["To"]) == ([f"oncall@{asked}"], f"oncall@{asked}")


@pytest.mark.parametrize("domain", ["ü..example", f"{'ü' * 80}.example", "☃.example", "ü-.example"])
def test_an_address_whose_domain_cannot_be_is_final(tmp_path: Path, domain: str) -> None:
    outcome = EmailChannel(SENDER, FileTransport(tmp_path)).send(replace(ENVELOPE, address=f"oncall@{domain}"))
    assert outcome.result is AttemptOutcome.DEAD
    assert (outcome.error or "").startswith("This cannot be mailed: ")


def test_the_sender_may_have_a_name() -> None:
    settings = Settings(_env_file=None, smtp_host="127.0.0.1", smtp_from="Pager at night <pager@example.com>")
    found = EmailType().set_up(settings, ChannelSettings())
    assert isinstance(found, EmailChannel)
    assert (found.sender.display_name, found.sender.addr_spec) == ("Pager at night", "pager@example.com")


@pytest.mark.parametrize(
    "sender",
    ["", "pager", "pager@", "@example.com", "a b@example.com", "Pager <pager>", "a@ü..example", "a@☃.example"],
)
def test_a_sender_that_is_none_is_refused_at_the_start(sender: str) -> None:
    with pytest.raises(ConfigurationError, match="SMTP_FROM"):
        EmailType().set_up(Settings(_env_file=None, smtp_from=sender), ChannelSettings())
