"""The channels and their providers on the wire."""

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from app.core.vocabulary import BreakerState
from app.schemas.base import Input, Read
from app.schemas.types import EXAMPLE_TIME, Storable, Time

Provider = Annotated[str, StringConstraints(min_length=1, max_length=255), Storable]


class ChannelProviderRead(Read):
    """An outside service that a channel sends by. While its circuit breaker is open, nothing is sent to it.

    Providers that people supply, such as the hosts of webhooks, are listed once they fail.
    """

    name: str = Field(examples=["api.twilio.com"], description="The host name; for Apprise, the kind of service")
    state: BreakerState = Field(description="The worst that a live worker reports. `half_open`: one message probes it")
    failing_messages: int = Field(examples=[5], description="Different messages that failed in a row, up to 1,000")
    last_error: str | None = Field(examples=["The server answered 503."])
    open_since: Time | None = Field(examples=[EXAMPLE_TIME])
    next_probe_at: Time | None = Field(examples=[EXAMPLE_TIME], description="When the next message may probe it")
    workers: list[str] = Field(examples=[["pager-1:4711"]], description="The workers that do not call it now")


class ChannelRead(Read):
    """A channel that this version knows, and how its providers are."""

    name: str = Field(examples=["sms"])
    is_set_up: bool = Field(description="Whether a live worker, or the process that answers, can send by it")
    state: BreakerState = Field(description="The worst state of its providers")
    providers: list[ChannelProviderRead]


class ChannelReset(Input):
    """Which circuit breakers to close: that of one provider, or all of the channel."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"provider": None}]})

    provider: Provider | None = Field(default=None, description="A name that `GET /v1/channels` shows")
