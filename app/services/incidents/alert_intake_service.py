"""Takes in what a monitoring system posts: reads it, applies its alerts, and keeps what it cannot read."""

from dataclasses import dataclass
from typing import NoReturn

from sqlalchemy.orm import Session

from app.core.errors import AlertTooLarge, DomainError, TooManyAlerts
from app.core.source import AlertSignal, Source
from app.core.vocabulary import Severity
from app.schemas.alert import AlertAnswer
from app.services.incidents import alert_body, alert_service
from app.services.incidents.alert_body import Unreadable, unreadable_alert
from app.services.incidents.alert_service import MAX_ALERTS


@dataclass(frozen=True, slots=True)
class PostedAlert:
    """The body of a request, or the start of one that is larger than `passed_limit` bytes."""

    content: bytes
    passed_limit: int | None = None


def receive(session: Session, source: Source, posted: PostedAlert, *, default_severity: Severity) -> AlertAnswer:
    """Apply the alerts of a body. Whatever cannot be read opens or repeats one incident, for somebody to look at.

    Raises AlertTooLarge and TooManyAlerts, after opening that incident.
    """
    if posted.passed_limit is not None:
        _refuse_too_large(session, source, posted, posted.passed_limit, default_severity=default_severity)
    body = alert_body.read(posted.content)
    signals = [signal for document in body.objects for signal in source.parse(document)]
    if len(signals) > MAX_ALERTS:
        reason = f"it holds more than {MAX_ALERTS} alerts"
        refusal = TooManyAlerts(
            f"A body may hold at most {MAX_ALERTS} alerts. Send fewer at a time.", pointer="/alerts"
        )
        _refuse(session, source, Unreadable(alert_body.text_of(posted.content), reason), refusal, default_severity)
    if body.unreadable is not None:
        signals.append(unreadable_alert(source.name, body.unreadable))
    results = alert_service.ingest(session, signals, default_severity=default_severity)
    return alert_service.answer(results, has_unreadable=body.unreadable is not None)


def single_alert(source: Source, content: bytes) -> AlertSignal | None:
    """The alert of a body that holds exactly one, and nothing that cannot be read. None for any other body."""
    body = alert_body.read(content)
    if body.unreadable is not None or len(body.objects) != 1:
        return None
    signals = source.parse(body.objects[0])
    return signals[0] if len(signals) == 1 else None


def _refuse_too_large(
    session: Session, source: Source, posted: PostedAlert, limit: int, *, default_severity: Severity
) -> NoReturn:
    unreadable = Unreadable(alert_body.text_of(posted.content), f"it is larger than {limit} bytes")
    _refuse(
        session,
        source,
        unreadable,
        AlertTooLarge(f"The body is over {limit} bytes. Send less at a time."),
        default_severity,
    )


def _refuse(
    session: Session, source: Source, unreadable: Unreadable, refusal: DomainError, default_severity: Severity
) -> NoReturn:
    """Keep what was sent in the incident for unreadable alerts."""
    signal = unreadable_alert(source.name, unreadable)
    alert_service.ingest(session, [signal], default_severity=default_severity)
    raise refusal
