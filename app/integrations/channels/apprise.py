"""Apprise: some 170 services behind one kind of address. An optional extra, for administrators.

It reports success or failure without a reason, so a failure is always retried.
"""

import logging
import warnings
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field

from app.core.channel import Channel, Envelope, Outcome, register
from app.core.config import ChannelSettings, Settings
from app.core.errors import ConfigurationError
from app.core.vocabulary import AttemptOutcome, Severity
from app.integrations.channels.urgency import severity_of

# Services that use this machine's screen, log, hardware or the keys on its disk.
LOCAL_SCHEMES = frozenset(
    {"blink1", "dbus", "fcm", "gio", "glib", "gnome", "kde", "macosx", "qt", "syslog", "vapid", "windows"}
)
FILE_PARAMETERS = frozenset({"attach", "keyfile", "pgpkey", "pgppub", "subfile"})
WITH_TEMPLATE_FILES = frozenset({"discord", "workflow", "workflows"})  # for other services `template` is a name
NOTIFY_TYPES = {
    Severity.CRITICAL: "failure",
    Severity.HIGH: "failure",
    Severity.MEDIUM: "warning",
    Severity.LOW: "info",
}


class AppriseSettings(ChannelSettings):
    """Whether the channel is enabled, and the total time for one message."""

    apprise_enabled: bool = False
    apprise_timeout_seconds: Annotated[float, Field(gt=0, le=50)] = 20.0


@cache
def _library() -> Any:
    """The optional package, with all its services loaded. Raises ImportError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it warns about imghdr, for Python versions without it
        library = import_module("apprise")
        import_module(
            "apprise.manager_plugins"
        ).NotificationManager().load_modules()  # takes a second, which the first page should not wait for
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its messages about failures contain the address
    return library


def _service(address: str, *, timeout_seconds: float) -> Any:
    """The service of an address; None if there is none. Stores nothing on disk."""
    library = _library()
    asset = library.AppriseAsset(
        service_timeout=timeout_seconds, storage_mode="memory", pgp_autogen=False, pem_autogen=False
    )
    return library.Apprise.instantiate(address, asset=asset)


@dataclass(frozen=True, slots=True)
class AppriseChannel:
    """Sends a message to the service of its address, within the total time allowed."""

    timeout_seconds: float
    name: str = "apprise"

    def send(self, envelope: Envelope) -> Outcome:
        try:
            service = _service(envelope.address, timeout_seconds=self.timeout_seconds)
            if service is None:
                return Outcome(AttemptOutcome.DEAD, error="Apprise does not know this kind of address.")
            return self._notify(service, envelope)
        except Exception as error:  # noqa: BLE001 - whatever one of 170 services raises, a retry may work
            return Outcome(AttemptOutcome.RETRY, error=f"Apprise failed: {type(error).__name__}")

    def provider(self, address: str) -> str:
        return urlsplit(address).scheme  # the host of an Apprise address is often a secret

    def _notify(self, service: Any, envelope: Envelope) -> Outcome:
        library = _library()
        sender = library.Apprise(asset=service.asset)
        sender.add(service)
        severity = severity_of(envelope)
        result = sender.notify(
            body=envelope.body,
            title=envelope.subject,
            notify_type=NOTIFY_TYPES[severity] if severity else "info",
            body_format=library.NotifyFormat.TEXT,
            timeout=self.timeout_seconds,
        )
        if result:
            return Outcome(AttemptOutcome.ACCEPTED)
        return Outcome(AttemptOutcome.RETRY, error=f"{service.service_name} did not accept the message.")


@register
class AppriseType:
    """Apprise, where the package is installed and switched on."""

    name = "apprise"
    order = 70
    settings_type = AppriseSettings
    own_address: Literal["email", "phone_number"] | None = None
    is_optional = True
    needs_provider = True
    has_status_updates = False
    shows_html = False
    max_body: int | None = None

    def clean_address(self, address: str, own: ChannelSettings) -> str:
        try:
            service = _service(address, timeout_seconds=1)
        except ImportError as error:
            raise ValueError("Apprise is not installed here.") from error
        if service is None:
            raise ValueError(
                "This is not the address of a service that Apprise knows. Use one such as tgram://token/chat."
            )
        if service.schemas() & LOCAL_SCHEMES or _names_a_file(address, service.schemas()):
            raise ValueError("An address must not lead to the machine that this service runs on.")
        return address

    def set_up(self, settings: Settings, own: ChannelSettings) -> Channel | None:
        if not isinstance(own, AppriseSettings) or not own.apprise_enabled:
            return None
        try:
            _library()
        except ImportError as error:
            raise ConfigurationError(
                "APPRISE_ENABLED is true, but Apprise is not installed: `pip install apprise`, or set it to false"
            ) from error
        return AppriseChannel(own.apprise_timeout_seconds)


def _names_a_file(address: str, schemes: set[str]) -> bool:
    given = {name.lower() for name, _ in parse_qsl(urlsplit(address).query, keep_blank_values=True)}
    return bool(given & FILE_PARAMETERS) or ("template" in given and bool(schemes & WITH_TEMPLATE_FILES))
