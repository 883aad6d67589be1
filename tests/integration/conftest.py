"""What tests of paging share. By several channels their `services` are the `two_channels`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fastapi.testclient import TestClient

from app.core.config import ChannelSettings, Settings
from app.db.session import Database
from app.utils.service_locator import Services, build_services
from tests.support.explanations import Story
from tests.support.scenario import Opener, Tick
from tests.support.world import NUMBER, Outbox, Person


@pytest.fixture
def sms() -> Outbox:
    """The second of `two_channels`."""
    return Outbox("sms")


@pytest.fixture
def two_channels(
    settings: Settings,
    database: Database,
    outbox: Outbox,
    sms: Outbox,
    default_channel_settings: dict[str, ChannelSettings],
) -> Services:
    """An installation with two channels."""
    channels = {"email": outbox, "sms": sms}
    return build_services(settings, database, channels=channels, channel_settings=default_channel_settings)


@pytest.fixture
def on_call(sign_up: Callable[..., Person]) -> Person:
    """Somebody with a phone."""
    return sign_up("oncall@example.com", phone_number=NUMBER, full_name="On Call")


@pytest.fixture
def story(
    client: TestClient, on_call: Person, admin: Person, add_policy: Opener, open_incident: Opener, tick: Tick
) -> Story:
    return Story(client, on_call, admin, add_policy, open_incident, tick)


@pytest.fixture
def accepted(add_policy: Opener, open_incident: Opener, tick: Tick) -> dict[str, Any]:
    """An incident of which the admin was paged; the provider took the page."""
    add_policy()
    incident: dict[str, Any] = open_incident()
    tick()
    return incident


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = tmp_path / "certificate.pem"
    file.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what a test opens."""
    with ExitStack() as exits:
        yield exits
