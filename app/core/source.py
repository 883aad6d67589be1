"""The protocol of an alert source, which turns a body into signals, and the registry of all sources."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import SecretStr

from app.core.config import Settings
from app.core.registry import Registry
from app.core.settings.section import EnvironmentSettings

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FormerKey:
    """The key under which an earlier version opened the incident of an alert, if it differs from today's.

    Several alerts could share that key: `is_of(metadata)` says whether an incident with this metadata belongs to
    this alert.
    """

    key: str
    is_of: Callable[[Body], bool] = field(compare=False)


@dataclass(frozen=True, slots=True)
class AlertSignal:
    """One alert that fires or has recovered. Every text fits its column and can be stored as it is."""

    source: str
    dedup_key: str | None  # None: every signal opens an incident of its own
    is_firing: bool
    title: str
    description: str | None
    severity: str | None  # None: the caller's default applies
    service: str
    metadata: dict[str, Any]
    former_key: FormerKey | None = None
    unreadable_because: str | None = None  # set for the incident of unreadable alerts
    traceparent: str | None = None  # the trace of the request that brought it (W3C)


class SourceSettings(EnvironmentSettings):
    """The settings of one source, declared in its folder and read from where the others are."""


class SourceType(Protocol):
    """A monitoring system that can post its alerts to `/v1/alerts/{name}`. Its folder registers one instance."""

    @property
    def name(self) -> str:
        """The end of the path, and the `source` of the incidents that its alerts open."""
        ...

    @property
    def settings_type(self) -> type[SourceSettings]: ...

    @property
    def description(self) -> str:
        """The description of the operation in the API reference. The first sentence is its summary."""
        ...

    @property
    def example(self) -> Mapping[str, Any]:
        """A body, for the API's documentation."""
        ...

    @property
    def drops_429(self) -> bool:
        """True if the sender drops what is answered 429, and sends it again after 503."""
        ...

    def token(self, settings: Settings, own: SourceSettings) -> SecretStr | None:
        """The secret that a sender must know, or several, separated by commas: any of them counts.

        In production a source without one accepts nothing.
        """
        ...

    def parse(self, body: Body) -> list[AlertSignal]:
        """The alerts of any JSON object, whatever it holds. Does not raise."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """A source as this installation has set it up. A sender must know one of its `tokens`."""

    name: str
    tokens: tuple[str, ...] = field(repr=False)
    parse: Callable[[Body], list[AlertSignal]]
    drops_429: bool = False


SOURCES: Registry[SourceType] = Registry("sources")
register = SOURCES.register
