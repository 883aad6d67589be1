"""Mails follow each other in one session, as long as its server takes them, and each keeps its own deadline."""

import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
from tests.support.tarpit import ANSWERS, SILENCE, Cut, Drip, Tarpit, listening
from tests.support.waiting import wait_until

ACCEPTED, RETRY, DEAD = AttemptOutcome.ACCEPTED, AttemptOutcome.RETRY, AttemptOutcome.DEAD
ENVELOPE = Envelope("ada@example.com", "s", "b", UUID("3f2b1a90-7c1d-41ef-9a53-0242ac120002"), None)
MAIL = ["MAIL", "RCPT", "DATA", "."]
FIRST = ["EHLO", *MAIL]
NEXT = ["RSET", *MAIL]
AMPLE = 60.0
SHORT = 2.0

Mailer = Callable[..., EmailChannel]


@pytest.fixture
def mailer(stack: ExitStack) -> Mailer:
    """The channel of a server."""

    def make(tarpit: Tarpit, **options: Any) -> EmailChannel:
        port = stack.enter_context(listening(tarpit))
        given = {"host": "127.0.0.1", "tls": "none", "timeout_seconds": AMPLE, **options}
        return EmailChannel(Address(addr_spec="incidents@example.com"), SmtpTransport(port=port, **given))

    return make


def within(channel: EmailChannel, seconds: float) -> EmailChannel:
    """The channel with another deadline, and the same sessions."""
    assert isinstance(channel.transport, SmtpTransport)
    return replace(channel, transport=replace(channel.transport, timeout_seconds=seconds))


def test_mails_follow_each_other_in_one_session(mailer: Mailer) -> None:
    tarpit = Tarpit(answers={**ANSWERS})
    channel = mailer(tarpit)
    assert [channel.send(ENVELOPE).result for _ in range(3)] == [ACCEPTED] * 3
    assert tarpit.sessions == [[*FIRST, *NEXT, *NEXT]]


def test_a_session_that_has_taken_enough_mails_is_ended_in_good_order(mailer: Mailer) -> None:
    tarpit = Tarpit(answers={**ANSWERS})
    channel = mailer(tarpit, sessions=Sessions(mails=2))
    assert [channel.send(ENVELOPE).result for _ in range(3)] == [ACCEPTED] * 3
    assert tarpit.sessions == [[*FIRST, *NEXT, "QUIT"], FIRST]


def test_a_session_without_mails_is_closed_after_a_while(mailer: Mailer) -> None:
    tarpit = Tarpit(answers={**ANSWERS})
    channel = mailer(tarpit, sessions=Sessions(idle_seconds=0.1))
    assert channel.send(ENVELOPE).result is ACCEPTED
    wait_until(lambda: tarpit.ended == [0], seconds=30)
    assert channel.send(ENVELOPE).result is ACCEPTED
    assert tarpit.sessions == [FIRST, FIRST]


@pytest.mark.parametrize("said", [b"", b"421 going down\r\n", b"250 as you like\r\n"])
def test_a_session_that_the_server_has_ended_is_replaced(mailer: Mailer, said: bytes) -> None:
    tarpit = Tarpit(answers={**ANSWERS})
    channel = mailer(tarpit)
    assert channel.send(ENVELOPE).result is ACCEPTED
    tarpit.connections[0].sendall(said)
    if not said:
        tarpit.connections[0].shutdown(2)
    assert channel.send(ENVELOPE).result is ACCEPTED
    assert tarpit.sessions == [FIRST, FIRST]


@pytest.mark.parametrize("answer", [b"421 too many mails\r\n", b"500 what?\r\n"])
def test_a_session_that_is_not_reset_is_replaced(mailer: Mailer, answer: bytes) -> None:
    tarpit = Tarpit(answers={**ANSWERS, "RSET": answer})
    channel = mailer(tarpit)
    assert [channel.send(ENVELOPE).result for _ in range(2)] == [ACCEPTED] * 2
    assert tarpit.sessions == [[*FIRST, "RSET"], FIRST]


class OneEach(Tarpit):
    """Ends a session that begins a second mail."""

    def say(self, connection: Any, answer: Any) -> None:
        is_over = any(session[-1:] == ["MAIL"] and "." in session for session in self.sessions[-1:])
        super().say(connection, Cut(b"421 one mail for each session\r\n") if is_over else answer)


def test_a_server_that_takes_no_further_mail_gets_it_in_a_new_session(mailer: Mailer) -> None:
    tarpit = OneEach(answers={**ANSWERS})
    channel = mailer(tarpit)
    assert [channel.send(ENVELOPE).result for _ in range(2)] == [ACCEPTED] * 2
    assert tarpit.sessions == [[*FIRST, "RSET", "MAIL"], FIRST]


def test_a_sender_that_is_refused_is_not_tried_again_at_once(mailer: Mailer) -> None:
    tarpit = Tarpit(answers={**ANSWERS})
    channel = mailer(tarpit)
    assert channel.send(ENVELOPE).result is ACCEPTED
    tarpit.answers["MAIL"] = b"550 not you\r\n"
    outcome = channel.send(ENVELOPE)
    assert outcome.status_code == 550
    assert len(tarpit.sessions) == 1


def together(channel: EmailChannel, number: int) -> list[AttemptOutcome]:
    with ThreadPoolExecutor(number) as threads:
        return [outcome.result for outcome in threads.map(channel.send, [ENVELOPE] * number)]


class Meeting(Tarpit):
    """Answers the mails of three sessions when it has all of them."""

    def say(self, connection: Any, answer: Any) -> None:
        if answer == b"250 together\r\n":
            self.barrier.wait(30)
        super().say(connection, answer)

    barrier = threading.Barrier(3)


def test_servers_that_no_longer_answer_together_take_little_of_a_mails_time(mailer: Mailer) -> None:
    tarpit = Meeting(answers={**ANSWERS, ".": b"250 together\r\n"})
    channel = mailer(tarpit)
    assert together(channel, 3) == [ACCEPTED] * 3
    tarpit.answers |= {"RSET": SILENCE, ".": b"250 OK\r\n"}
    assert within(channel, SHORT).send(ENVELOPE).result is ACCEPTED
    assert sorted(tarpit.sessions, key=len) == [FIRST, FIRST, FIRST, [*FIRST, "RSET"]]
    wait_until(lambda: len(tarpit.ended) == 3, seconds=30)


def test_a_refused_mail_leaves_no_session_behind(mailer: Mailer) -> None:
    tarpit = Tarpit(answers={**ANSWERS, "RCPT": b"550 no such user\r\n"})
    channel = mailer(tarpit)
    assert channel.send(ENVELOPE).result is DEAD
    tarpit.answers = {**ANSWERS}
    assert channel.send(ENVELOPE).result is ACCEPTED
    assert tarpit.sessions == [["EHLO", "MAIL", "RCPT", "RSET", "QUIT"], FIRST]
    wait_until(lambda: tarpit.ended == [0], seconds=30)


@pytest.fixture
def context(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's side of TLS, which this process trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_session_inside_tls_takes_several_mails(mailer: Mailer, context: ssl.SSLContext) -> None:
    tarpit = Tarpit(answers={**ANSWERS}, context=context, is_wrapped=True)
    channel = mailer(tarpit, tls="tls")
    assert [channel.send(ENVELOPE).result for _ in range(3)] == [ACCEPTED] * 3
    assert tarpit.sessions == [[*FIRST, *NEXT, *NEXT]]


def test_a_session_that_turned_to_tls_takes_several_mails(mailer: Mailer, context: ssl.SSLContext) -> None:
    answers = {"EHLO": b"250-here\r\n250 STARTTLS\r\n", "STARTTLS": b"220 go on\r\n"}
    tarpit = Tarpit(answers={**ANSWERS, **answers}, context=context)
    channel = mailer(tarpit, tls="starttls")
    assert [channel.send(ENVELOPE).result for _ in range(3)] == [ACCEPTED] * 3
    assert tarpit.sessions == [["EHLO", "STARTTLS", *FIRST, *NEXT, *NEXT]]


@pytest.mark.parametrize("answer", [SILENCE, Drip(b"250-", b"x")])
def test_the_deadline_of_a_second_mail_holds(mailer: Mailer, answer: Any) -> None:
    tarpit = Tarpit(answers={**ANSWERS})
    channel = mailer(tarpit)
    assert channel.send(ENVELOPE).result is ACCEPTED
    tarpit.answers["."] = answer
    outcome: Outcome = within(channel, SHORT).send(ENVELOPE)
    assert (outcome.result, outcome.error) == (RETRY, "TimeoutError: The mail was not accepted within 2 s.")
    assert tarpit.sessions == [[*FIRST, *NEXT]]
    wait_until(lambda: tarpit.ended == [0], seconds=30)


@pytest.mark.slow
def test_the_deadline_of_a_mail_does_not_end_the_next(mailer: Mailer) -> None:
    tarpit = Tarpit(answers={**ANSWERS})
    channel = mailer(tarpit)
    assert within(channel, SHORT).send(ENVELOPE).result is ACCEPTED
    tarpit.pause_seconds = SHORT / 2  # five answers are due, and each is late
    assert channel.send(ENVELOPE).result is ACCEPTED
    assert tarpit.sessions == [[*FIRST, *NEXT]]
