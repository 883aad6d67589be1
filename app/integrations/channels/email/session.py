"""SMTP sessions: each takes mail after mail while there are any, under the deadline of each mail."""

import smtplib
import socket
import time
from collections import deque
from contextlib import suppress
from select import POLLIN, poll
from typing import Any

from app.integrations.alarms import Alarm, alarms
from app.integrations.connections import Lines, Watch

IDLE_SECONDS = 10.0  # a server under stress may end a session that waits for longer (smtpd_timeout of Postfix)
MAILS = 100  # in one session; some servers take no more
RESET_SECONDS = 2.0
DONE = 250
CLOSING = 421  # RFC 5321, section 3.8: the server ends the session


class Session(smtplib.SMTP):
    """An SMTP session over an open connection. After its mail's watch has ended it, nothing counts as an answer.

    `line` is the connection that the watch can end. `spoken` is its handle for the session: TLS and smtplib replace
    and close theirs.
    """

    def __init__(self, line: socket.socket, spoken: socket.socket, watch: Watch, host: str, own_name: str) -> None:
        self.mails = 0
        self._line, self._spoken, self._watch = line, spoken, watch
        super().__init__(host, local_hostname=own_name)

    def connect(self, host: str = "", port: int = 0, source_address: Any = None) -> tuple[int, bytes]:
        self.sock, self.file = self._spoken, None
        return self.getreply()

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = Lines(self.sock.makefile("rb").detach())
        answer = super().getreply()
        if self._watch.has_expired:  # a truncated "250-" reads as "250"
            self.close()
            raise smtplib.SMTPServerDisconnected("The answer was cut off.")
        return answer

    def close(self) -> None:
        super().close()
        self._line.close()

    def hang_up(self) -> None:
        """Send QUIT if the server still listens. The outcome of the mail is already decided."""
        with suppress(smtplib.SMTPException, OSError):
            self.quit()
        self.close()

    def is_ready(self, watch: Watch, *, within: float) -> bool:
        """True if the server answers within so many seconds: the next mail, which this watch bounds, may follow."""
        self._watch, watch.connected = watch, self._line
        try:
            return within > 0 and not self._has_spoken() and self._is_reset(within)
        except (smtplib.SMTPException, OSError, ValueError):
            return False

    def _has_spoken(self) -> bool:
        """True if the server said something unasked: that it ends the session."""
        waiting = poll()
        waiting.register(self._line, POLLIN)
        return bool(waiting.poll(0))

    def _is_reset(self, seconds: float) -> bool:
        if self.sock is None:
            return False
        self.sock.settimeout(seconds)
        code, _ = self.rset()
        self.sock.settimeout(None)  # from here on only the watch ends it
        return code == DONE


class Sessions:
    """The sessions with one server that wait for their next mail, `idle_seconds` at most, for `mails` in each."""

    def __init__(self, *, idle_seconds: float = IDLE_SECONDS, mails: int = MAILS) -> None:
        self._idle: deque[tuple[Session, Alarm]] = deque()
        self._idle_seconds, self._mails = idle_seconds, mails

    def take(self, watch: Watch) -> Session | None:
        """A session that still works, for a mail that this watch bounds. None if there is none.

        All that do not answer together take little of the mail's time: enough is left for a new connection.
        """
        until = time.monotonic() + min(RESET_SECONDS, watch.remaining() / 2)
        while (session := self._newest()) is not None:
            if session.is_ready(watch, within=until - time.monotonic()):
                return session
            session.close()
        return None

    def keep(self, session: Session) -> None:
        """Keep a session for the next mail, unless it has taken enough of them."""
        session.mails += 1
        if session.mails >= self._mails:
            session.hang_up()
            return
        self._idle.append((session, alarms().after(self._idle_seconds, self._end_oldest)))

    def _newest(self) -> Session | None:
        try:
            session, alarm = self._idle.pop()
        except IndexError:
            return None
        alarm.cancel()
        return session

    def _end_oldest(self) -> None:
        """End the session that has waited for the longest: it is the one whose alarm rings."""
        with suppress(IndexError):
            session, _ = self._idle.popleft()
            session.close()
