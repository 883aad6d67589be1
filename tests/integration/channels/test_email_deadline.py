"""A mail takes no longer than its deadline, whatever the server does, and what it answered in time stays true."""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from email.headerregistry import Address
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from app.core.channel import Envelope, Outcome
from app.core.vocabulary import AttemptOutcome
from app.integrations.channels.email.channel import EmailChannel
from app.integrations.channels.email.session import Sessions
from app.integrations.channels.email.transport import SmtpTransport
from tests.support.tarpit import ANSWERS, RECORD, Cut, Drip, Tarpit, listening

pytestmark = pytest.mark.slow

ACCEPTED, RETRY, DEAD = AttemptOutcome.ACCEPTED, AttemptOutcome.RETRY, AttemptOutcome.DEAD
ENVELOPE = Envelope("ada@example.com", "s", "b", UUID("3f2b1a90-7c1d-41ef-9a53-0242ac120002"), None)
LIMIT = 0.8
AMPLE = 3.0  # a limit that is reached only by what never ends
TOOK_TOO_LONG = "TimeoutError: The mail was not accepted within 0.8 s."


@pytest.fixture
def mail_to(stack: ExitStack) -> Callable[..., Outcome]:
    """Sends a mail to a server that may never end: it is the limit that does."""

    def send(tarpit: Tarpit, *, address: str = ENVELOPE.address, **options: Any) -> Outcome:
        port = stack.enter_context(listening(tarpit))
        given = {"host": "127.0.0.1", "tls": "none", "timeout_seconds": LIMIT, **options}
        sender = EmailChannel(Address(addr_spec="incidents@example.com"), SmtpTransport(port=port, **given))
        return sender.send(replace(ENVELOPE, address=address))

    return send


def test_a_server_slow_with_each_answer_is_left_at_the_deadline(
    mail_to: Callable[..., Outcome],
) -> None:
    tarpit = Tarpit(pause_seconds=LIMIT / 3, answers=ANSWERS)
    outcome = mail_to(tarpit)
    assert (outcome.result, outcome.status_code, outcome.error) == (RETRY, None, TOOK_TOO_LONG)
    assert "." not in tarpit.commands


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({"banner": Drip(b"220 ")}, id="banner"),
        pytest.param({"banner": Drip(b"220-", b"\r\n220-")}, id="banner of many lines"),
        pytest.param({"answers": {"EHLO": Drip(b"250-", b"\r\n250-")}}, id="greeting"),
        pytest.param({"answers": {"MAIL": Drip()}}, id="sender"),
        pytest.param({"answers": {**ANSWERS, ".": Drip()}}, id="answer"),
    ],
)
def test_a_server_that_drips_is_left_when_the_mail_takes_too_long(
    mail_to: Callable[..., Outcome], told: dict[str, Any]
) -> None:
    outcome = mail_to(Tarpit(**told))
    assert (outcome.result, outcome.status_code, outcome.error) == (RETRY, None, TOOK_TOO_LONG)


@pytest.mark.parametrize(
    ("tls", "told"),
    [
        ("tls", {"banner": Drip(RECORD)}),
        ("starttls", {"answers": {"EHLO": b"250-here\r\n250 STARTTLS\r\n", "STARTTLS": b"220 go on\r\n"}}),
    ],
)
def test_a_server_that_drips_its_handshake_is_left(
    mail_to: Callable[..., Outcome], tls: str, told: dict[str, Any]
) -> None:
    outcome = mail_to(Tarpit(**told), tls=tls)
    assert (outcome.result, outcome.status_code, outcome.error) == (RETRY, None, TOOK_TOO_LONG)


def test_a_server_that_drips_inside_tls_is_left(
    mail_to: Callable[..., Outcome], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    tarpit = Tarpit(context=context, is_wrapped=True, answers={**ANSWERS, ".": Drip(b"250-", b"x")})
    outcome = mail_to(tarpit, tls="tls", timeout_seconds=AMPLE)
    assert (outcome.result, outcome.status_code) == (RETRY, None)
    assert tarpit.commands[-1] == "."


def test_the_beginning_of_an_answer_accepts_nothing(mail_to: Callable[..., Outcome]) -> None:
    tarpit = Tarpit(answers={**ANSWERS, ".": Drip(b"250", b" ")})
    assert mail_to(tarpit, timeout_seconds=AMPLE).result is RETRY
    assert tarpit.commands[-1] == "."


@pytest.mark.parametrize("answer", [b"", b"2", b"250", b"250 O", b"250-O", b"250-OK\r\n", b"550", b"550 no"])
def test_an_answer_that_ends_early_decides_nothing(mail_to: Callable[..., Outcome], answer: bytes) -> None:
    tarpit = Tarpit(answers={**ANSWERS, ".": Cut(answer)})
    outcome = mail_to(tarpit, timeout_seconds=60)
    assert (outcome.result, outcome.status_code) == (RETRY, None)
    assert "Connection unexpectedly closed" in (outcome.error or "")
    assert tarpit.commands[-1] == "."


def test_an_accepted_mail_stays_accepted_when_the_goodbye_ends_early(mail_to: Callable[..., Outcome]) -> None:
    tarpit = Tarpit(answers={**ANSWERS, "QUIT": Cut(b"22")})
    assert mail_to(tarpit, timeout_seconds=60, sessions=Sessions(mails=1)).result is ACCEPTED
    assert tarpit.commands[-1] == "QUIT"


def test_an_accepted_mail_stays_accepted_when_the_goodbye_takes_too_long(mail_to: Callable[..., Outcome]) -> None:
    tarpit = Tarpit(answers={**ANSWERS, "QUIT": Drip()})
    outcome = mail_to(tarpit, timeout_seconds=AMPLE, sessions=Sessions(mails=1))
    assert (outcome.result, outcome.error) == (ACCEPTED, None)
    assert tarpit.commands[-1] == "QUIT"


def test_a_refused_mail_stays_refused_when_what_follows_takes_too_long(mail_to: Callable[..., Outcome]) -> None:
    tarpit = Tarpit(answers={"RCPT": b"550 no such user\r\n", "RSET": Drip()})
    outcome = mail_to(tarpit, timeout_seconds=AMPLE)
    assert (outcome.result, outcome.status_code) == (DEAD, 550)


def test_a_name_that_is_not_resolved_in_time_is_tried_again(
    mail_to: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def never(*_: Any, **__: Any) -> Any:
        answered.wait()
        raise socket.gaierror

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", never)
        outcome = mail_to(Tarpit(), host="mail.example.com")
        answered.set()
    assert (outcome.result, outcome.error) == (RETRY, TOOK_TOO_LONG)


def test_an_address_that_is_dead_leaves_time_for_the_next(
    mail_to: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, resolve = socket.create_connection, socket.getaddrinfo
    waited: list[float] = []

    def both(host: str, port: int, *rest: Any, **options: Any) -> Any:
        if host != "mail.example.com":
            return resolve(host, port, *rest, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", port)) for last in (2, 1)]

    def only_the_second(address: tuple[str, int], timeout: float) -> socket.socket:
        if address[0] == "127.0.0.1":
            return connect(address, timeout)
        waited.append(timeout)
        raise TimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", both)
        patched.setattr(socket, "create_connection", only_the_second)
        outcome = mail_to(Tarpit(answers=ANSWERS), host="mail.example.com", timeout_seconds=60)
    assert outcome.result is ACCEPTED
    assert 0 < waited[0] <= 30


def test_an_address_that_the_server_does_not_take_is_final(mail_to: Callable[..., Outcome]) -> None:
    outcome = mail_to(Tarpit(answers=ANSWERS), address="jürgen@example.com", timeout_seconds=60)
    assert outcome.result is DEAD
    assert "accepts no such address" in (outcome.error or "")
