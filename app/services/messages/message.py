"""Says what a message is made of, and writes the plain one that is sent when nothing better can be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

MAX_SUBJECT = 200
MAX_FACT = 2000
MAX_NAMED = 1000  # characters; with a link a long text message of most providers (1,600)
MAX_NAME = 60


@dataclass(frozen=True, slots=True)
class Message:
    """A subject of one line, a text, and for channels that show it the same as HTML."""

    subject: str
    body: str
    html: str | None = None


@dataclass(frozen=True, slots=True)
class IncidentFacts:
    """What a page says of its incident."""

    id: int
    title: str
    severity: str
    service: str
    status: str
    source: str
    description: str | None
    created_at: datetime
    metadata: Mapping[str, Any]


def page_facts(incident: IncidentFacts, *, note: str | None, url: str, link: str | None) -> dict[str, Any]:
    """The facts of a page: `incident`, `note`, `url` of the API and `link`, the signed page for this person."""
    return {
        "incident": {
            "id": incident.id,
            "title": incident.title,
            "severity": incident.severity,
            "service": incident.service,
            "status": incident.status,
            "source": incident.source,
            "description": (incident.description or "")[:MAX_FACT] or None,
            "created_at": incident.created_at.isoformat(),
            "metadata": dict(incident.metadata),
        },
        "note": note,
        "url": f"{url.rstrip('/')}/v1/incidents/{incident.id}",
        "link": link,
    }


def without_metadata(incident: Mapping[str, Any]) -> dict[str, Any]:
    """What of a page's incident the outbox keeps, and a bundle knows: an alert's metadata may be large."""
    return {name: value for name, value in incident.items() if name != "metadata"}


def plain(event: str, facts: Mapping[str, Any]) -> Message:
    """The message without any template: it must always be possible to write one."""
    subject, body = PLAIN[event](facts)
    return Message(one_line(subject), body)


def one_line(text: str) -> str:
    """A header cannot hold line breaks or control characters."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:MAX_SUBJECT]


def headline(incident: Mapping[str, Any]) -> str:
    """How bad, where, what, which."""
    return f"[{incident['severity'].upper()}] {incident['service']}: {incident['title']} (#{incident['id']})"


def named(incidents: Sequence[Mapping[str, Any]], room: int = MAX_NAMED) -> list[str]:
    """Every incident by its id, in as few words as the room asks for: `#12 Disk full`, else `#12`, else `#12-#34`."""
    ids = [incident["id"] for incident in incidents]
    room -= sum(len(f"#{id_}, ") for id_ in ids)
    if room < 0:
        return _ranges(sorted(ids))
    names = []
    for incident in incidents:
        title = f" {one_line(incident['title'])[:MAX_NAME]}"
        names.append(f"#{incident['id']}" + (title if len(title) <= room else ""))
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


def _page(facts: Mapping[str, Any]) -> tuple[str, str]:
    incident = facts["incident"]
    said = f"Severity: {incident['severity']}\nService:  {incident['service']}\nIncident: #{incident['id']}"
    paragraphs = [facts["note"], incident["title"], said, incident["description"], _how(facts)]
    return headline(incident), "\n\n".join(p for p in paragraphs if p) + "\n"


def _how(facts: Mapping[str, Any]) -> str:
    way = f"POST {facts['url']}/acknowledge"
    return f"See it and acknowledge it to stop further pages:\n{facts['link']}\n\nOr: {way}" if facts["link"] else way


def _bundle(facts: Mapping[str, Any]) -> tuple[str, str]:
    pages = facts["incidents"]
    lines = [headline(page["incident"]) + (f"\n  {page['link']}" if page["link"] else "") for page in pages]
    return f"{len(pages)} incidents: {headline(pages[0]['incident'])} …", "\n".join(lines) + "\n"


def _password_reset(facts: Mapping[str, Any]) -> tuple[str, str]:
    return "Set a new password", (
        "Somebody asked for a new password for this address. If it was not you, do nothing.\n\n"
        f"The token below works once, within {facts['minutes']} minutes:\n\n{facts['token']}\n\n"
        f"POST {facts['url']}/v1/auth/reset-password\n"
        '{"token": "<the token>", "new_password": "<the new password>"}\n'
    )


def _verification(facts: Mapping[str, Any]) -> tuple[str, str]:
    return f"Your code: {facts['code']}", (
        f"{facts['code']} is the code that proves that incidents may page you here. It is good for "
        f"{facts['minutes']} minutes. If you did not ask for it, do nothing.\n"
    )


def _test(facts: Mapping[str, Any]) -> tuple[str, str]:
    return "A test page", f"This is what you asked for: a test of your {facts['channel']} channel. Nothing is wrong.\n"


def _notice(facts: Mapping[str, Any]) -> tuple[str, str]:
    return "About your notifications", f"{facts['text']}\n"


PLAIN = {
    "page": _page,
    "bundle": _bundle,
    "password_reset": _password_reset,
    "verification": _verification,
    "test": _test,
    "notice": _notice,
}
