"""Defines what a template sees, and writes the plain message that needs no template."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.core.facts import (
    BundleFacts,
    ChannelTestFacts,
    Facts,
    IncidentFacts,
    NoticeFacts,
    OwnFacts,
    PageFacts,
    PasswordResetFacts,
    StatusUpdateFacts,
    StatusUpdatesFacts,
    UpdateFacts,
    VerificationFacts,
    stored,
)

MAX_SUBJECT = 200
MAX_FACT = 2000
MAX_NAMED = 1000  # characters; with a link it still fits into the 1,600 that most SMS providers take
MAX_NAME = 60


@dataclass(frozen=True, slots=True)
class Message:
    """A subject of one line, a text, and the same as HTML for channels that show it."""

    subject: str
    body: str
    html: str | None = None


def page_facts(incident: IncidentFacts, *, note: str | None, url: str, link: str | None) -> PageFacts:
    """The facts of a page. `url` is the public one of the service, `link` the signed page for this person."""
    return PageFacts(incident=shortened(incident), url=api_url(incident, url), note=note, link=link)


def shortened(incident: IncidentFacts) -> IncidentFacts:
    """The facts with the description cut to what a message needs."""
    return replace(incident, description=(incident.description or "")[:MAX_FACT] or None)


def api_url(incident: IncidentFacts, url: str) -> str:
    """The API's URL of the incident. `url` is the public one of the service."""
    return f"{url.rstrip('/')}/v1/incidents/{incident.id}"


def context(facts: Facts) -> dict[str, Any]:
    """What a template sees, under the names that administrators write. This is the only place that decides it.

    A page also has its incident's `metadata`, and a bundle `named`, a short name for every incident.
    """
    seen = stored(facts)
    match facts:
        case PageFacts() | StatusUpdateFacts():
            seen["incident"]["metadata"] = dict(facts.incident.metadata)
        case BundleFacts():
            seen["named"] = named([page.incident for page in facts.incidents])
    return seen


def plain(facts: Facts) -> Message:
    """The message without any template. It can always be written."""
    subject, body = _said(facts)
    return Message(one_line(subject), body)


def one_line(text: str) -> str:
    """A header cannot hold line breaks or control characters."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:MAX_SUBJECT]


def headline(incident: IncidentFacts) -> str:
    """Severity, service, title and number of the incident in one line."""
    return f"[{incident.severity.upper()}] {incident.service}: {incident.title} (#{incident.id})"


def named(incidents: Sequence[IncidentFacts], room: int = MAX_NAMED) -> list[str]:
    """Every incident, as fully as the room allows: `#12 Disk full`, else `#12`, else `#12-#34`."""
    ids = [incident.id for incident in incidents]
    room -= sum(len(f"#{id_}, ") for id_ in ids)
    if room < 0:
        return _ranges(sorted(ids))
    names = []
    for incident in incidents:
        title = f" {one_line(incident.title)[:MAX_NAME]}"
        names.append(f"#{incident.id}" + (title if len(title) <= room else ""))
        room -= len(title) if len(title) <= room else 0
    return names


def _ranges(ids: Sequence[int]) -> list[str]:
    runs: list[list[int]] = []
    for id_ in ids:
        if runs and id_ == runs[-1][-1] + 1:
            runs[-1].append(id_)
        else:
            runs.append([id_])
    return [f"#{run[0]}" + (f"-#{run[-1]}" if len(run) > 1 else "") for run in runs]


def _said(facts: Facts) -> tuple[str, str]:
    """The subject and the body."""
    match facts:
        case PageFacts():
            return _page(facts)
        case BundleFacts():
            return _bundle(facts)
        case StatusUpdateFacts() | StatusUpdatesFacts():
            return _status_update(facts)
    return _said_of_account(facts)


def _said_of_account(facts: OwnFacts) -> tuple[str, str]:
    match facts:
        case PasswordResetFacts():
            return _password_reset(facts)
        case VerificationFacts():
            return _verification(facts)
        case ChannelTestFacts():
            sentence = f"This is the test of your {facts.channel} channel that you asked for. Nothing is wrong."
            return "A test page", f"{sentence}\n"
        case NoticeFacts():
            return "About your account", f"{facts.text}\n"


def _page(facts: PageFacts) -> tuple[str, str]:
    incident = facts.incident
    paragraphs = [facts.note, incident.title, _incident(incident), incident.description, _how(facts)]
    return headline(incident), "\n\n".join(p for p in paragraphs if p) + "\n"


def _status_update(facts: UpdateFacts) -> tuple[str, str]:
    if isinstance(facts, StatusUpdatesFacts):
        lines = [f"{headline(update.incident)}: {update.said}" for update in facts.updates]
        return f"{facts.count} status updates", "\n".join(lines) + "\n"
    paragraphs = [facts.said, facts.incident.title, _incident(facts.incident), facts.link]
    # "Re:" puts it into one thread with its page in mail programs.
    return f"Re: {headline(facts.incident)}", "\n\n".join(p for p in paragraphs if p) + "\n"


def _incident(incident: IncidentFacts) -> str:
    return f"Severity: {incident.severity}\nService:  {incident.service}\nIncident: #{incident.id}"


def _how(facts: PageFacts) -> str:
    way = f"POST {facts.url}/acknowledge"
    return f"View and acknowledge it to stop further pages:\n{facts.link}\n\nOr: {way}" if facts.link else way


def _bundle(facts: BundleFacts) -> tuple[str, str]:
    pages = facts.incidents
    lines = [headline(page.incident) + (f"\n  {page.link}" if page.link else "") for page in pages]
    return f"{facts.count} incidents: {headline(pages[0].incident)} …", "\n".join(lines) + "\n"


def _password_reset(facts: PasswordResetFacts) -> tuple[str, str]:
    return "Set a new password", (
        "Somebody asked to reset the password of this account. If it was not you, ignore this message.\n\n"
        f"Choose a new password here. The link works once and expires after {facts.minutes} minutes:\n\n"
        f"{facts.url}/reset-password/{facts.token}\n"
    )


def _verification(facts: VerificationFacts) -> tuple[str, str]:
    return f"Your code: {facts.code}", (
        f"{facts.code} is your code to confirm this address. It expires after "
        f"{facts.minutes} minutes. If you did not ask for it, ignore this message.\n"
    )
