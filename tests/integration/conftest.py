"""What tests of paging by several channels share. Their `services` are the `two_channels`."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from app.core.config import Settings
from app.db.session import Database
from app.utils.service_locator import Services, build_services
from tests.conftest import Outbox, Person
from tests.explanations import Story
from tests.preferences import NUMBER
from tests.scenario import Opener, Tick


@pytest.fixture
def sms() -> Outbox:
    """The second of `two_channels`."""
    return Outbox("sms")


@pytest.fixture
def two_channels(settings: Settings, database: Database, outbox: Outbox, sms: Outbox) -> Services:
    """An installation with two channels."""
    return build_services(settings, database, channels={"email": outbox, "sms": sms})


@pytest.fixture
def on_call(sign_up: Callable[..., Person]) -> Person:
    """Somebody with a phone."""
    return sign_up("oncall@example.com", phone_number=NUMBER, full_name="On Call")


@pytest.fixture
def story(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick
) -> Story:
    return Story(client, on_call, admin, add_policy, open_incident, tick)
