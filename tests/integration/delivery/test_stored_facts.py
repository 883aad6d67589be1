"""What the outbox keeps of a message's facts, and what is sent when another version has written them."""

import json
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.worker import Jobs
from tests.support.logs import captured
from tests.support.scenario import Opener, Tick
from tests.support.world import Outbox

INCIDENT = {"id", "title", "severity", "service", "status", "source", "description", "created_at"}


def kept(session: Session, kind: str) -> dict[str, Any]:
    """The facts of the one message of a kind, as another version reads them."""
    facts: dict[str, Any] = session.execute(
        text("SELECT facts FROM notifications WHERE kind = :kind ORDER BY id LIMIT 1"), {"kind": kind}
    ).scalar_one()
    return facts


def keep(session: Session, facts: dict[str, Any]) -> None:
    """Have the outbox hold these facts."""
    session.execute(text("UPDATE notifications SET facts = CAST(:facts AS jsonb)"), {"facts": json.dumps(facts)})
    session.commit()


def test_the_outbox_keeps_a_page_in_the_shape_that_older_versions_read(
    add_policy: Opener, open_incident: Opener, tick: Tick, session: Session
) -> None:
    add_policy()
    incident = open_incident(title="Disk full", metadata={"host": "db-1"})
    tick()
    facts = kept(session, "page")
    assert set(facts) == {"incident", "note", "url", "link"}
    assert set(facts["incident"]) == INCIDENT
    assert (facts["incident"]["id"], facts["incident"]["title"]) == (incident["id"], "Disk full")


def test_the_outbox_keeps_a_bundle_in_the_shape_that_older_versions_read(
    add_policy: Opener, open_incident: Opener, tick: Tick, session: Session
) -> None:
    add_policy()
    ids = [open_incident()["id"] for _ in range(2)]
    tick()
    facts = kept(session, "bundle")
    assert (set(facts), facts["count"]) == ({"count", "incidents"}, 2)
    assert [set(page) for page in facts["incidents"]] == [{"incident", "note", "url", "link"}] * 2
    assert [page["incident"]["id"] for page in facts["incidents"]] == ids


def test_a_page_that_another_version_wrote_is_sent_with_its_facts(
    add_policy: Opener, open_incident: Opener, jobs: Jobs, outbox: Outbox, session: Session
) -> None:
    add_policy()
    open_incident(title="Disk full")
    jobs.plan()
    facts = kept(session, "page")
    keep(session, {**facts, "colour": "red", "incident": {**facts["incident"], "metadata": {"host": "db-1"}}})
    jobs.send()
    [sent] = outbox.sent
    [page] = sent.pages
    assert (page.incident.title, page.link) == ("Disk full", facts["link"])


@pytest.mark.parametrize("facts", [{}, {"incident": "seven"}, {"incidents": []}])
def test_a_page_whose_facts_cannot_be_read_is_sent_as_its_text(
    add_policy: Opener, open_incident: Opener, jobs: Jobs, outbox: Outbox, session: Session, facts: dict[str, Any]
) -> None:
    add_policy()
    open_incident(title="Disk full")
    jobs.plan()
    keep(session, facts)
    jobs.send()
    [sent] = outbox.sent
    assert (sent.facts, "Disk full" in sent.body) == (None, True)


def test_pages_that_no_bundle_could_name_are_sent_alone(
    add_policy: Opener, open_incident: Opener, jobs: Jobs, outbox: Outbox, session: Session
) -> None:
    add_policy()
    for title in ("Disk full", "Queue stuck"):
        open_incident(title=title)
    jobs.plan()
    keep(session, {})
    with captured() as log:
        jobs.send()
    assert "bundle_failed" in log.getvalue()
    assert sorted(sent.subject.split(": ")[1].split(" (")[0] for sent in outbox.sent) == ["Disk full", "Queue stuck"]
