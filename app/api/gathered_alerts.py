"""The short way of webhooks: alerts that arrive together are applied together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from fastapi import Request, Response
from sqlalchemy.orm import Session

from app.api.gather import Gatherer
from app.api.gathered import threads
from app.api.media_types import JSON
from app.api.short_way import Handler, Route, takes
from app.api.waiting import Outcome
from app.api.webhooks import has_right_token, is_small
from app.core import origin
from app.core.source import AlertSignal
from app.core.vocabulary import Severity
from app.schemas.alert import AlertAnswer, AlertResult
from app.services.incidents import alert_intake_service, alert_service
from app.utils.service_locator import Services


def gathers_alerts(source: str) -> Callable[[Handler], Handler]:
    """Gather the posts of one alert each to a source's webhook. All others take the ordinary way."""
    return takes(lambda route: GatheredAlerts(source, route))


@dataclass
class GatheredAlerts:
    """The short way of one source's webhook."""

    source: str
    route: Route
    _services: Services | None = field(default=None, init=False)
    _gatherer: Gatherer[AlertSignal] | None = field(default=None, init=False)

    async def answer(self, request: Request) -> Response | None:
        """The answer to a post with the right token and one alert that can be read, or None for another."""
        services: Services = request.app.state.services
        if not (is_small(request) and has_right_token(request, services, self.source)):
            return None
        signal = alert_intake_service.single_alert(services.sources[self.source], await request.body())
        if signal is None:
            return None
        answer = await self._gatherer_of(services).submit(replace(signal, traceparent=origin.current().traceparent))
        return Response(self.route.answer.dump_json(answer), self.route.status, media_type=JSON)

    def _gatherer_of(self, services: Services) -> Gatherer[AlertSignal]:
        if self._gatherer is None or self._services is not services:
            run = _Ingesting(services.settings.webhook_default_severity)
            key_of: Callable[[AlertSignal], str | None] = lambda signal: signal.dedup_key  # noqa: E731
            self._services = services
            self._gatherer = Gatherer(self.route.name, services.database, run, threads(), key_of=key_of)
        return self._gatherer


@dataclass(frozen=True, slots=True)
class _Ingesting:
    """Applies a batch of alerts. See `app.api.waiting.Batch`."""

    default_severity: Severity

    def __call__(self, session: Session, items: Sequence[AlertSignal], *, waits: bool) -> Sequence[Outcome]:
        results = alert_service.ingest_each(session, items, default_severity=self.default_severity, waits=waits)
        return [_answer(result) for result in results]


def _answer(result: Outcome) -> AlertAnswer | Outcome:
    return alert_service.answer([result]) if isinstance(result, AlertResult) else result
