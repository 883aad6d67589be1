"""Shows how each channel and its providers are, and lets administrators close their circuit breakers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.core.audit_actions import AuditAction
from app.core.channel import CHANNELS, Channel
from app.core.errors import NotFound
from app.core.vocabulary import BreakerState
from app.crud import crud_breaker, crud_breaker_reset, crud_heartbeat
from app.crud.clock import now
from app.crud.crud_heartbeat import ALIVE_WITHIN
from app.crud.wakeup import wake
from app.models import CircuitBreaker
from app.schemas.channel import ChannelProviderRead, ChannelRead, ChannelReset
from app.services import audit_service
from app.services.operations import channel_states
from app.services.operations.breaker_service import WORTHLESS_AFTER
from app.services.operations.channel_states import ProviderState, Report, Reset

LONGEST_SHOWN = 100

Channels = Mapping[str, Channel]


@dataclass(frozen=True, slots=True)
class View:
    """What is known of the providers: the workers' reports, the stored breakers and the resets."""

    reports: list[Report]
    stored: dict[str, set[str]]
    resets: list[Reset]
    set_up: frozenset[str]


def channels(session: Session, own: Channels) -> list[ChannelRead]:
    """Every channel that this version knows or this process has set up, and how its providers are."""
    view = _view(session, own)
    return [_read(name, view, own) for name in _names(own)]


def reset(session: Session, name: str, body: ChannelReset | None, own: Channels) -> ChannelRead:
    """Close the breakers of a channel, or that of one provider, on every worker. Returns the channel after that.

    Raises NotFound for a channel or a provider that nobody knows. What is closed stays closed.
    """
    provider = body.provider if body is not None else None
    before = _providers(_known_channel(name, own), _view(session, own), own)
    if provider is not None:
        _require_provider(provider, name, before)
    crud_breaker_reset.record(session, name, provider, at=now(session))
    crud_breaker.remove_of(session, name, provider)
    wake(session, "resets")
    after = _read(name, _view(session, own), own)
    still_open = [one.name for one in after.providers if one.state is not BreakerState.CLOSED]
    changes = {
        "provider": (None, provider),
        "open_providers": ([one.name for one in before if one.is_open], still_open),
    }
    audit_service.record(session, AuditAction.CHANNEL_RESET, "channel", name, changes=changes)
    return after


def _view(session: Session, own: Channels) -> View:
    at = now(session)
    workers = crud_heartbeat.alive(session, since=at - ALIVE_WITHIN)
    rows = crud_breaker.said_since(session, at - WORTHLESS_AFTER)
    stored: dict[str, set[str]] = {}
    for row in rows:
        stored.setdefault(row.channel, set()).add(row.provider)
    reports = [Report(worker.name, worker.followed_reset, worker.channels) for worker in workers]
    return View(
        reports=reports or [_stored_report(row) for row in rows],  # between a stop and a start, what will be restored
        stored=stored,
        resets=[Reset(one.id, one.channel, one.provider) for one in crud_breaker_reset.after(session, 0)],
        set_up=frozenset(own).union(*(worker.set_up for worker in workers)),
    )


def _stored_report(row: CircuitBreaker) -> Report:
    about: dict[str, Any] = {
        "state": "open",
        "failing_messages": row.failing_messages,
        "last_error": row.last_error,
        "open_since": row.open_since.isoformat(),
        "next_probe_at": row.next_probe_at.isoformat(),
    }
    return Report(None, row.followed_reset, {row.channel: {row.provider: about}})


def _read(name: str, view: View, own: Channels) -> ChannelRead:
    found = _providers(name, view, own)
    return ChannelRead(
        name=name,
        is_set_up=name in view.set_up,
        state=channel_states.worst(one.state for one in found),
        providers=[ChannelProviderRead.model_validate(one) for one in found],
    )


def _providers(name: str, view: View, own: Channels) -> list[ProviderState]:
    known = view.stored.get(name, set()) | _shared_provider(own.get(name))
    return channel_states.providers(name, view.reports, view.resets, known)


def _shared_provider(channel: Channel | None) -> set[str]:
    """The provider that a channel has whatever the address, if it has one."""
    provider = channel.provider("") if channel is not None else ""
    return {provider} if provider else set()


def _names(own: Channels) -> list[str]:
    return list(dict.fromkeys([*CHANNELS.names(), *own]))


def _known_channel(name: str, own: Channels) -> str:
    if name not in _names(own):
        raise NotFound(f'There is no channel "{name[:LONGEST_SHOWN]}". The channels are {", ".join(_names(own))}.')
    return name


def _require_provider(provider: str, channel: str, found: list[ProviderState]) -> None:
    if provider not in {one.name for one in found}:
        known = ", ".join(one.name for one in found)[:1000] or "none"
        raise NotFound(
            f'No provider "{provider[:LONGEST_SHOWN]}" of the channel {channel} is known. Known providers: {known}.'
        )
