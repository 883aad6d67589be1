"""Microsoft Teams: an Adaptive Card to a Power Automate workflow, whose URL is the address."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from app.core.channel import Channel, Envelope, Outcome, register
from app.core.config import ChannelSettings, Settings
from app.core.vocabulary import Severity
from app.integrations import http
from app.integrations.addresses import host_of
from app.integrations.channels.hook import HookSettings, clean_url, line_of, rest_of, settings_of, shortened
from app.integrations.channels.urgency import severity_of

# https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using: 28 KB
MAX_CARD_BYTES = 28 * 1024
MAX_LISTED_BYTES = 20 * 1024
MAX_TITLE = 200
MAX_TEXT = 2000
MAX_REST = 1500
GONE = frozenset({404, 410})  # the workflow was deleted
CARD = "application/vnd.microsoft.card.adaptive"
SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"
COLORS = {Severity.CRITICAL: "attention", Severity.HIGH: "attention", Severity.MEDIUM: "warning"}

Element = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TeamsChannel:
    """Posts cards to workflows. They know no idempotency key: a duplicate is seen twice."""

    own: HookSettings
    name: str = "teams"

    def send(self, envelope: Envelope) -> Outcome:
        return http.post(envelope.address, json=layout(envelope), limits=self.own.limits(gone=GONE))

    def provider(self, address: str) -> str:
        return host_of(address)


def layout(envelope: Envelope) -> dict[str, Any]:
    """The message as the one card of what a workflow's "webhook request received" trigger takes."""
    urgency = severity_of(envelope)
    color = COLORS.get(urgency, "default") if urgency else "default"
    title = _text(envelope.subject, MAX_TITLE, size="large", weight="bolder", color=color)
    elements, actions = _content(envelope)
    card = {
        "$schema": SCHEMA,
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": [title, *elements],
        "actions": actions,
    }
    return {"type": "message", "attachments": [{"contentType": CARD, "contentUrl": None, "content": card}]}


def _content(envelope: Envelope) -> tuple[list[Element], list[Element]]:
    if "incidents" in envelope.facts:
        return _bundle(envelope.facts["incidents"]), []
    if "incident" in envelope.facts:
        return _page(envelope.facts), _open(envelope.facts.get("link"))
    return [_text(envelope.body, MAX_TEXT)], []


def _page(facts: Mapping[str, Any]) -> list[Element]:
    incident = facts["incident"]
    named = {"Severity": incident["severity"], "Service": incident["service"], "Incident": f"#{incident['id']}"}
    texts = [facts.get("note"), incident["title"], incident.get("description")]
    said = [f"{name}: {value}" for name, value in named.items()]
    return [_text(text, MAX_TEXT) for text in [*texts, "\n".join(said)] if text]


def _open(link: str | None) -> list[Element]:
    return [{"type": "Action.OpenUrl", "title": "See and acknowledge", "url": link}] if link else []


def _bundle(pages: Sequence[Mapping[str, Any]]) -> list[Element]:
    lines = list(_fitting(_line(page) for page in pages))
    rest = pages[len(lines) :]
    return [*lines, _text(rest_of(rest, limit=MAX_REST), MAX_REST)] if rest else lines


def _fitting(lines: Iterable[Element]) -> Iterable[Element]:
    """The lines that there is room for in a card."""
    size = 0
    for line in lines:
        size += len(json.dumps(line, ensure_ascii=False).encode()) + 2
        if size > MAX_LISTED_BYTES:
            return
        yield line


def _line(page: Mapping[str, Any]) -> Element:
    actions = _open(page.get("link"))
    return _text(line_of(page, limit=MAX_TITLE), MAX_TITLE, **({"selectAction": actions[0]} if actions else {}))


def _text(text: str, limit: int, **style: Any) -> Element:
    """A text in which nothing is Markdown: runs of a RichTextBlock are shown as they are."""
    run = {"type": "TextRun", "text": shortened(text, limit) or "…", **style}
    return {"type": "RichTextBlock", "inlines": [run]}


@register
class TeamsType:
    """Teams. It is always set up: each person names a workflow."""

    name = "teams"
    settings_type = HookSettings
    own_address: Literal["email", "phone_number"] | None = None
    is_optional = False

    def clean_address(self, address: str, own: ChannelSettings) -> str:
        return clean_url(address, own, is_secret=True)

    def set_up(self, settings: Settings, own: ChannelSettings) -> Channel | None:
        return TeamsChannel(settings_of(own))
