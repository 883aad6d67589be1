"""The channels, their providers and circuit breakers."""

from typing import Annotated

from fastapi import APIRouter, Body, Path

from app.api.deps import AdminUser, ServicesDep, SessionDep
from app.api.problems import problems
from app.api.transaction import TransactionalRoute
from app.core.errors import NotFound
from app.schemas.channel import ChannelRead, ChannelReset
from app.services.operations import channel_service

router = APIRouter(prefix="/channels", tags=["health"], route_class=TransactionalRoute)

Name = Annotated[str, Path(description="The channel's name", examples=["email"])]
Which = Annotated[ChannelReset | None, Body(description="One provider; without it, all of the channel")]
NO_CHANNEL = NotFound('There is no channel "pager". The channels are email, sms, webhook.')  # an example for OpenAPI


@router.get("")
def list_channels(user: AdminUser, services: ServicesDep, session: SessionDep) -> list[ChannelRead]:
    """List the channels, and how their providers are. For administrators.

    If live workers differ about a provider, the worst state is shown. Without a live worker, it is the state that the
    last one stored. When a circuit breaker opens or closes, this list shows it at once.
    """
    return channel_service.channels(session, services.channels)


@router.post("/{channel}/reset", responses=problems(NO_CHANNEL))
def reset_channel(
    channel: Name, user: AdminUser, services: ServicesDep, session: SessionDep, body: Which = None
) -> ChannelRead:
    """Close the circuit breakers of a channel, or that of one provider. For administrators.

    All workers follow within two seconds, and each sends at once what it had put off for the provider. If five more
    messages fail, the breaker opens again. Closing a closed one changes nothing, but is recorded in the audit log.
    """
    return channel_service.reset(session, channel, body, services.channels)
