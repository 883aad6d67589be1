"""Pages the admins when a webhook refuses a token that it accepted before: alerts are being lost."""

import structlog
from sqlalchemy.orm import Session

from app.core import origin
from app.core.audit_actions import AuditAction
from app.core.vocabulary import Severity
from app.crud import crud_webhook_token
from app.crud.clock import now
from app.services import audit_service, counting_service
from app.services.incidents import incident_service
from app.services.incidents.opening import NewIncident
from app.services.policies import last_resort_service
from app.services.policies.situation import Situation
from app.services.ports import Paging

log = structlog.get_logger()

OWN_SOURCE = "system"  # the service of incidents about the service itself
SERVICE = "incident management"
NOTE = "You are paged as an administrator: alerts are being lost."
DESCRIPTION = (
    "The webhook /v1/alerts/{source} refuses a token that it accepted before, so alerts are being lost. Set the "
    "new token at the sender, or the old one here."
)


def keep_working(session: Session, source: str, seal: str) -> None:
    """Record that a source's webhook accepted the token with this seal."""
    if crud_webhook_token.keep_working(session, source, seal, at=now(session)):
        audit_service.record(session, AuditAction.WEBHOOK_TOKEN_ACCEPTED, "webhook", source)


def tell_refused(session: Session, source: str, seal: str, paging: Paging) -> None:
    """Open an incident about a token that was accepted before, and page the admins: once for all processes."""
    at = now(session)
    if not crud_webhook_token.mark_refused(session, source, seal, at=at):
        return
    audit_service.record(session, AuditAction.WEBHOOK_TOKEN_REFUSED, "webhook", source)
    log.error("webhook_token_no_longer_taken", source=source, cure="set the new token at the sender")
    counting_service.sender_refused(session, source)
    new = NewIncident(
        title=f"Alerts from {source} are refused: a token that worked is wrong now",
        description=DESCRIPTION.format(source=source),
        severity=Severity.HIGH,
        service=SERVICE,
        metadata={},
        source=OWN_SOURCE,
        alert_id=f"webhook_token:{source}",
        traceparent=origin.current().traceparent,
    )
    [opened] = incident_service.open_many(session, [new], at=at)
    if opened is not None:  # an open incident already says so
        incident = incident_service.locked(session, opened.id)
        situation = Situation(session=session, incident=incident, paging=paging, at=at)
        if not last_resort_service.page_admins(situation, note=NOTE):
            last_resort_service.say_unreachable(session, incident, at=at)
