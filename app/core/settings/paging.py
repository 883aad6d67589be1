"""The worker that fires steps and sends pages, and what pages need."""

from typing import Annotated

from pydantic import Field

from app.core.settings.section import Section, WebUrl
from app.core.vocabulary import UnmatchedIncidents


class PagingSettings(Section):
    """Paging, and the dead-man's ping that shows from outside that it works."""

    worker_enabled: bool = True
    worker_threads: Annotated[int, Field(ge=1, le=64)] = 16
    worker_lease_seconds: Annotated[int, Field(ge=10, le=3600)] = 60
    dead_man_url: WebUrl | None = None
    dead_man_interval_seconds: Annotated[int, Field(ge=5, le=3600)] = 60
    page_link_hours: Annotated[int, Field(ge=1, le=24 * 30)] = 72
    require_verified_addresses: bool | None = None
    unmatched_incidents: UnmatchedIncidents = UnmatchedIncidents.PAGE_ADMINS_FOR_ALERTS
