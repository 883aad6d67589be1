"""Slack: Block Kit by an incoming webhook, whose URL is the address (https://docs.slack.dev/block-kit)."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from app.core.channel import Channel, Envelope, Outcome, register
from app.core.config import ChannelSettings, Settings
from app.core.facts import BundleFacts, PageFacts
from app.integrations import http
from app.integrations.addresses import host_of
from app.integrations.channels.hook import HookSettings, clean_url, cut, line_of, rest_of, settings_of, shortened
from app.integrations.channels.push.text import link_of

# https://docs.slack.dev/reference/block-kit/blocks, and .../messaging/sending-messages-using-incoming-webhooks
MAX_HEADER = 150
MAX_SECTION = 3000
MAX_FIELD = 2000
MAX_LINE = 200
MAX_FALLBACK = 3000
MAX_TEXTS = 9000  # characters of all texts with their escapes: well within Slack's limit for one message
GONE = frozenset({404, 410})  # no_service, channel_is_archived: the webhook or its channel no longer exists
ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})

Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SlackChannel:
    """Posts messages to incoming webhooks. Slack has no idempotency keys, so a duplicate appears twice."""

    own: HookSettings
    name: str = "slack"

    def send(self, envelope: Envelope) -> Outcome:
        return http.post_or_plainer(
            self.own.limits(gone=GONE),
            lambda limits: http.post(envelope.address, json=layout(envelope), limits=limits),
            lambda limits: http.post(envelope.address, json=plain(envelope), limits=limits),
            is_refused=http.is_form_refused,
        )

    def provider(self, address: str) -> str:
        return host_of(address)


def layout(envelope: Envelope) -> dict[str, Any]:
    """The message as blocks, and as text for notifications and screen readers.

    The body comes from a template. Fields, the button and links come from the facts.
    """
    header = {"type": "header", "text": _plain(envelope.subject, MAX_HEADER)}
    return {"text": escaped(envelope.subject, MAX_FALLBACK), "blocks": [header, *_content(envelope)]}


def _content(envelope: Envelope) -> list[Block]:
    match envelope.facts:
        case BundleFacts(incidents=pages):
            return _bundle(envelope.body, pages)
        case PageFacts() as page:
            return [*_body(envelope.body), *_page(page)]
    return _body(envelope.body)


def plain(envelope: Envelope) -> dict[str, Any]:
    """The message without blocks, in case Slack refuses those."""
    link = link_of(envelope)
    ending = f"\n{link}" if link and link not in envelope.body else ""
    said = escaped(f"{envelope.subject}\n{envelope.body}", MAX_FALLBACK - len(ending))
    return {"text": said + ending}


def _body(body: str) -> list[Block]:
    """The text in as many sections as it needs, split at line ends."""
    lines = [_safe(line, MAX_SECTION) for line in shortened(body, MAX_TEXTS).split("\n")]
    shown = _fitting(lines, MAX_TEXTS)
    return [_section(text) for text in _packed([*shown, "…"] if len(shown) < len(lines) else shown)]


def _page(page: PageFacts) -> list[Block]:
    incident = page.incident
    named = {"Severity": incident.severity, "Service": incident.service, "Incident": f"#{incident.id}"}
    fields = [{"type": "mrkdwn", "text": f"*{name}*\n{escaped(value, MAX_FIELD)}"} for name, value in named.items()]
    return [{"type": "section", "fields": fields}, *_button(page.link)]


def _button(link: str | None) -> list[Block]:
    if not link:
        return []
    button = {"type": "button", "text": _plain("View and acknowledge", MAX_HEADER), "url": link, "style": "primary"}
    return [{"type": "actions", "elements": [button]}]


def _bundle(body: str, pages: Sequence[PageFacts]) -> list[Block]:
    """The body, then every incident: none may be left out, whatever the body says."""
    said = escaped(body, MAX_SECTION)
    lines = _fitting([_line(page) for page in pages], MAX_TEXTS - len(said))
    rest = [rest_of(pages[len(lines) :], limit=MAX_SECTION)] if len(lines) < len(pages) else []
    return [_section(text) for text in [said, *_packed(lines), *rest]]


def _fitting(lines: Sequence[str], room: int) -> Sequence[str]:
    """As many of the first lines as fit."""
    lengths = accumulate(len(line) + 1 for line in lines)
    return lines[: sum(length <= room + 1 for length in lengths)]


def _packed(lines: Sequence[str]) -> list[str]:
    """The lines, joined into as few texts as the size of a section allows."""
    texts: list[str] = []
    for line in lines:
        if texts and len(texts[-1]) + 1 + len(line) <= MAX_SECTION:
            texts[-1] += f"\n{line}"
        else:
            texts.append(line)
    return texts


def _line(page: PageFacts) -> str:
    said = escaped(line_of(page, limit=MAX_LINE), MAX_SECTION)
    return f"• <{page.link}|{said}>" if page.link else f"• {said}"


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text.strip("\n") or "…"}}


def _plain(text: str, limit: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": shortened(text, limit) or "…", "emoji": False}


def escaped(text: str, limit: int) -> str:
    """Text without links and mentions, cut to the limit, escapes included."""
    return _safe(shortened(text, limit), limit)


def _safe(shown: str, limit: int) -> str:
    while len(safe := shown.translate(ESCAPES)) > limit:
        shown = cut(shown, len(shown) - max((len(safe) - limit) // 5, 1))
    return safe


@register
class SlackType:
    """Slack, and services that accept its webhooks. Always set up: each person names a webhook."""

    name = "slack"
    order = 50
    settings_type = HookSettings
    own_address: Literal["email", "phone_number"] | None = None
    is_optional = False
    needs_provider = False
    has_status_updates = True
    shows_html = False
    max_body: int | None = None

    def clean_address(self, address: str, own: ChannelSettings) -> str:
        return clean_url(address, own, is_secret=True)

    def set_up(self, settings: Settings, own: ChannelSettings) -> Channel | None:
        return SlackChannel(settings_of(own))
