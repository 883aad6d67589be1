"""A webhook's receiver can tell how an incident goes on."""

from dataclasses import replace

from app.core.facts import StatusUpdateFacts, StatusUpdatesFacts
from app.core.vocabulary import NotificationKind, UpdateEvent
from app.integrations.channels.push.text import link_of
from app.integrations.channels.webhook import payload
from tests.support.envelopes import notice, page_facts

PAGE = page_facts()
TAKEN = StatusUpdateFacts(UpdateEvent.ACKNOWLEDGED, PAGE.incident, 1, "Ada took it.", PAGE.url, PAGE.link)
OVER = replace(TAKEN, update=UpdateEvent.RESOLVED)


def test_a_webhook_says_what_happened_to_which_incident() -> None:
    for facts, kind in ((TAKEN, "acknowledged"), (OVER, "resolved")):
        posted = payload(replace(notice("https://example.com", "text"), facts=facts))
        assert (posted["type"], posted["data"]["incident"]["id"], posted["data"]["said"]) == (kind, 7, "Ada took it.")


def test_a_webhook_lists_several_updates() -> None:
    posted = payload(replace(notice("https://example.com", "text"), facts=StatusUpdatesFacts((TAKEN, OVER))))
    assert (posted["type"], posted["data"]["count"]) == ("status_updates", 2)
    assert [update["update"] for update in posted["data"]["updates"]] == ["acknowledged", "resolved"]


def test_other_notices_keep_their_kind() -> None:
    assert payload(notice("https://example.com", "text"))["type"] == NotificationKind.NOTICE


def test_a_tap_on_an_update_leads_to_its_incident() -> None:
    assert link_of(replace(notice("topic", "text"), facts=TAKEN)) == PAGE.link
