"""What is nice to have never keeps a message from being taken: refused with it, it is sent at once without it."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.core.channel import Channel, Envelope
from app.core.vocabulary import AttemptOutcome
from app.integrations.channels.hook import HookSettings
from app.integrations.channels.push.ntfy import Ntfy
from app.integrations.channels.slack import SlackChannel
from app.integrations.channels.teams import TeamsChannel
from app.integrations.http import Limits, is_form_refused, post_or_plainer
from tests.support.envelopes import bundle, page
from tests.support.http_server import Answer, HttpServer, http_server

HERE = HookSettings(_env_file=None, webhook_allow_private_addresses=True)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server


@pytest.fixture(params=["slack", "teams", "ntfy"])
def channel(request: pytest.FixtureRequest, server: HttpServer) -> Any:
    ntfy = Ntfy(server.url, None, 10.0, allows_private=True)
    return {"slack": SlackChannel(HERE), "teams": TeamsChannel(HERE), "ntfy": ntfy}[request.param]


def address(channel: Channel, server: HttpServer) -> str:
    return "topic" if isinstance(channel, Ntfy) else server.url


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_message_that_is_refused_for_its_form_goes_without_it_at_once(
    channel: Channel, server: HttpServer, status: int
) -> None:
    server.script(Answer(status, "invalid_blocks"))
    envelope = page(address(channel, server))
    with capture_logs() as logs:
        assert channel.send(envelope).result is AttemptOutcome.ACCEPTED
    assert [(line["event"], line["log_level"]) for line in logs] == [("extras_refused", "warning")]
    first, second = (asked.body.decode() for asked in server.requests)
    assert len(second) < len(first)
    for extra in ("blocks", "actions", "click", "priority", "msteams"):
        assert f'"{extra}"' not in second
    [about] = envelope.pages
    for essential in (envelope.subject, about.link):
        assert json.dumps(essential, ensure_ascii=False)[1:-1] in second


def test_a_bundle_that_is_refused_for_its_form_still_names_its_incidents(channel: Channel, server: HttpServer) -> None:
    server.script(Answer(400, "invalid_blocks"))
    assert channel.send(bundle(address(channel, server), 5)).result is AttemptOutcome.ACCEPTED
    assert "#1" in server.requests[1].body.decode()


@pytest.mark.parametrize("status", [401, 403, 404, 410, 429, 500])
def test_what_is_refused_for_another_reason_is_not_repeated(channel: Channel, server: HttpServer, status: int) -> None:
    server.script(Answer(status))
    assert channel.send(page(address(channel, server))).result is not AttemptOutcome.ACCEPTED
    assert len(server.requests) == 1


def test_what_is_refused_as_plain_text_as_well_is_dead(channel: Channel, server: HttpServer) -> None:
    server.default = Answer(400, "no")
    assert channel.send(page(address(channel, server))).result is AttemptOutcome.DEAD
    assert len(server.requests) == 2


def test_both_tries_together_take_no_longer_than_one(server: HttpServer) -> None:
    given: list[float] = []
    refused = _outcome(400)

    def attempt(limits: Limits) -> Any:
        given.append(limits.timeout_seconds)
        return refused

    post_or_plainer(Limits(10), attempt, attempt, is_refused=is_form_refused)
    assert given[1] < given[0] == 10


def _outcome(status: int) -> Any:
    from app.core.channel import Outcome

    return replace(Outcome(AttemptOutcome.DEAD), status_code=status)


def test_an_envelope_without_a_link_is_plain_as_well(channel: Channel, server: HttpServer) -> None:
    server.script(Answer(400))
    envelope = page(address(channel, server))
    [about] = envelope.pages
    bare: Envelope = replace(envelope, facts=replace(about, link=None))
    assert channel.send(bare).result is AttemptOutcome.ACCEPTED
