"""Push by ntfy: https://docs.ntfy.sh/publish/"""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from app.core.channel import Envelope, Outcome
from app.core.vocabulary import AttemptOutcome, Severity
from app.integrations.addresses import host_of, parsed, require_public_literal
from app.integrations.channels.push.text import body_of, link_of
from app.integrations.channels.urgency import severity_of
from app.integrations.http import Limits, is_form_refused, post, post_or_plainer

NO_SERVER = "NTFY_URL is not set here, so give the full URL of the topic, such as https://ntfy.sh/a-long-topic."
# The server's message-size-limit; a longer message becomes an attachment or is refused. JSON may have twice that:
# https://docs.ntfy.sh/publish/#limitations and https://github.com/binwiederhier/ntfy/blob/main/server/server.go
MAX_MESSAGE_BYTES = 4096 - 1
MAX_JSON_BYTES = 2 * 4096 - 1
TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")
PRIORITIES = {Severity.CRITICAL: 5, Severity.HIGH: 4, Severity.MEDIUM: 3, Severity.LOW: 2}
# Names of emojis: https://docs.ntfy.sh/emojis/
TAGS = {
    Severity.CRITICAL: "rotating_light",
    Severity.HIGH: "rotating_light",
    Severity.MEDIUM: "warning",
    Severity.LOW: "information_source",
}


@dataclass(frozen=True, slots=True)
class Ntfy:
    """Publishes to a topic, on the operator's server or on the one in the address."""

    server: str | None
    token: str | None
    timeout_seconds: float
    allows_private: bool = False

    def send(self, envelope: Envelope) -> Outcome:
        server, topic = self._place(envelope.address)
        if not server:
            return Outcome(AttemptOutcome.DEAD, error=NO_SERVER)
        is_own = server == self.server
        headers = {"Authorization": f"Bearer {self.token}"} if self.token and is_own else {}
        limits = Limits(self.timeout_seconds, allows_private=is_own or self.allows_private, id_field="id")
        return post_or_plainer(
            limits,
            lambda limits: post(server, json=_message(envelope, topic), headers=headers, limits=limits),
            lambda limits: post(server, json=_plain(envelope, topic), headers=headers, limits=limits),
            is_refused=is_form_refused,
        )

    def provider(self, address: str) -> str:
        return host_of(self._place(address)[0])

    def _place(self, address: str) -> tuple[str, str]:
        """The server and the topic. The operator's token goes only to the operator's server."""
        if TOPIC.fullmatch(address):
            return self.server or "", address
        server, _, topic = address.rpartition("/")
        return server, topic


def _message(envelope: Envelope, topic: str) -> dict[str, Any]:
    """The message, with its text cut to ntfy's limit. The title and the link are short and stay whole."""
    severity, link = severity_of(envelope), link_of(envelope)
    message: dict[str, Any] = {"topic": topic, "title": envelope.subject}
    if severity is not None:
        message |= {"priority": PRIORITIES[severity], "tags": [TAGS[severity]]}
    if link:
        message["click"] = link
    return message | {"message": body_of(envelope, lambda text: _fits(message | {"message": text}))}


def _plain(envelope: Envelope, topic: str) -> dict[str, Any]:
    """The message without links and sounds, for servers that refuse those."""
    link = link_of(envelope)
    ending = f"\n{link}" if link else ""
    message: dict[str, Any] = {"topic": topic, "title": envelope.subject}
    body = body_of(envelope, lambda text: _fits(message | {"message": text + ending}))
    return message | {"message": (body + ending).strip()}


def _fits(message: dict[str, Any]) -> bool:
    text, whole = message["message"].encode(), json.dumps(message, ensure_ascii=False).encode()
    return len(text) <= MAX_MESSAGE_BYTES and len(whole) <= MAX_JSON_BYTES


def clean_topic(address: str, *, has_server: bool, allows_private: bool) -> str:
    """A topic's name on the operator's server, or a topic's URL. Raises ValueError."""
    if TOPIC.fullmatch(address):
        if not has_server:
            raise ValueError(NO_SERVER)
        return address
    parts = parsed(address, schemes=("http", "https") if allows_private else ("https",))
    if not allows_private:
        require_public_literal(parts)
    given = urlsplit(address)
    if not TOPIC.fullmatch(given.path.removeprefix("/")) or given.query or given.fragment or address[-1] in "?#":
        raise ValueError(
            "An ntfy address must be the server's URL followed by the topic's name, such as https://ntfy.sh/a-long-topic."
        )
    return address
