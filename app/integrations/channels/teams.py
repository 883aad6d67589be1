"""Microsoft Teams: an Adaptive Card to a Power Automate workflow, whose URL is the address."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.core.channel import Channel, Envelope, Outcome, register
from app.core.config import ChannelSettings, Settings
from app.core.facts import BundleFacts, IncidentFacts, PageFacts
from app.core.vocabulary import Severity
from app.integrations import http
from app.integrations.addresses import host_of
from app.integrations.channels.hook import HookSettings, clean_url, line_of, rest_of, settings_of, shortened
from app.integrations.channels.push.text import link_of
from app.integrations.channels.urgency import severity_of

# A card has up to 28 KB: https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
MAX_TEXTS_BYTES = 20 * 1024  # for all texts and lines together
MAX_BUNDLE_BYTES = 5 * 1024  # of these for the body of a bundle: the incidents need the rest
MAX_TITLE = 200
MAX_TEXT = 5000
MAX_BUNDLE_TEXT = 1200
MAX_REST = 1500
GONE = frozenset({404, 410})  # the workflow was deleted
CARD = "application/vnd.microsoft.card.adaptive"
SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"
COLORS = {Severity.CRITICAL: "attention", Severity.HIGH: "attention", Severity.MEDIUM: "warning"}
PARAGRAPHS = re.compile(r"\n\s*\n")

Element = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TeamsChannel:
    """Posts cards to workflows. They have no idempotency keys, so a duplicate appears twice."""

    own: HookSettings
    name: str = "teams"

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
    """The message as the single card for a workflow's "webhook request received" trigger.

    The body comes from a template. Fields, the button and links come from the facts.
    """
    urgency = severity_of(envelope)
    color = COLORS.get(urgency, "default") if urgency else "default"
    title = _text(envelope.subject, MAX_TITLE, size="large", weight="bolder", color=color)
    elements, actions = _content(envelope)
    return _message([title, *elements], msteams={"width": "Full"}, actions=actions)


def plain(envelope: Envelope) -> dict[str, Any]:
    """The message as text only, in case a workflow refuses the rest."""
    texts = [envelope.subject, envelope.body, link_of(envelope)]
    return _message([_text(text, MAX_TEXT) for text in texts if text])


def _message(body: list[Element], **more: Any) -> dict[str, Any]:
    card = {"$schema": SCHEMA, "type": "AdaptiveCard", "version": "1.4", "body": body, **more}
    return {"type": "message", "attachments": [{"contentType": CARD, "contentUrl": None, "content": card}]}


def _content(envelope: Envelope) -> tuple[list[Element], list[Element]]:
    if isinstance(envelope.facts, BundleFacts):
        return _bundle(envelope.body, envelope.facts.incidents), []
    body = _body(envelope.body, MAX_TEXT, MAX_TEXTS_BYTES)
    if isinstance(envelope.facts, PageFacts):
        return [*body, _named(envelope.facts.incident)], _open(envelope.facts.link)
    return body, []


def _body(body: str, limit: int, room: int) -> list[Element]:
    """One text for each paragraph, cut to the limit with an ellipsis."""
    paragraphs = [_text(paragraph, limit) for paragraph in PARAGRAPHS.split(shortened(body, room))]
    shown = list(_fitting(paragraphs, room))
    return [*shown, _text("…", limit)] if len(shown) < len(paragraphs) else shown


def _named(incident: IncidentFacts) -> Element:
    named = {"Severity": incident.severity, "Service": incident.service, "Incident": f"#{incident.id}"}
    return _text("\n".join(f"{name}: {value}" for name, value in named.items()), MAX_TEXT)


def _open(link: str | None) -> list[Element]:
    return [{"type": "Action.OpenUrl", "title": "View and acknowledge", "url": link}] if link else []


def _bundle(body: str, pages: Sequence[PageFacts]) -> list[Element]:
    """The body, then every incident: none may be left out, whatever the body says."""
    said = _body(body, MAX_BUNDLE_TEXT, MAX_BUNDLE_BYTES)
    lines = list(_fitting((_line(page) for page in pages), MAX_TEXTS_BYTES - sum(map(_size, said))))
    rest = [_text(rest_of(pages[len(lines) :], limit=MAX_REST), MAX_REST)] if len(lines) < len(pages) else []
    return [*said, *lines, *rest]


def _fitting(elements: Iterable[Element], room: int) -> Iterable[Element]:
    """As many of the first elements as fit, in bytes."""
    for element in elements:
        room -= _size(element)
        if room < 0:
            return
        yield element


def _size(element: Element) -> int:
    return len(json.dumps(element, ensure_ascii=False).encode()) + 2


def _line(page: PageFacts) -> Element:
    actions = _open(page.link)
    return _text(line_of(page, limit=MAX_TITLE), MAX_TITLE, **({"selectAction": actions[0]} if actions else {}))


def _text(text: str, limit: int, **style: Any) -> Element:
    """Text without Markdown: a RichTextBlock shows its runs literally."""
    run = {"type": "TextRun", "text": shortened(text, limit) or "…", **style}
    return {"type": "RichTextBlock", "inlines": [run]}


@register
class TeamsType:
    """Teams. Always set up: each person names a workflow."""

    name = "teams"
    order = 60
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
        return TeamsChannel(settings_of(own))
