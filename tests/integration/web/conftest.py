"""Links to the pages, and what their buttons did."""

from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.config import Settings
from app.core.page_links import PageLink, PageLinks
from tests.support.page_links import Linker, Reader
from tests.support.world import Person


@pytest.fixture
def link_of(settings: Settings) -> Linker:
    """The path of a link to an incident, by default nobody's own and made now."""

    def run(incident: dict[str, Any], user: Person | None = None, *, at: datetime | None = None) -> str:
        links = PageLinks(settings)
        url = links.url(PageLink(incident["id"], user.id if user else None), at=at or datetime.now(UTC))
        return url.removeprefix(settings.public_url)

    return run


@pytest.fixture
def read(client: TestClient, user: Person) -> Reader:
    """An incident as it is now."""

    def run(incident: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = user.on(client).call(f"GET /incidents/{incident['id']}")
        return found

    return run
