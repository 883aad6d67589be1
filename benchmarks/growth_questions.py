"""What is asked of a small and of a large database: lists, searches, reads, writes, and the worker's tick."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.config import Settings
from app.core.vocabulary import DeliveryStatus, IncidentStatus, Severity
from app.crud import crud_incident, crud_notification, crud_outbox, crud_policy, crud_timeline, crud_user
from app.crud.clock import now
from app.crud.crud_notification import NotificationFilter
from app.crud.incident_list import IncidentFilter
from app.crud.pagination import Slice
from app.crud.time_slice import Place, TimeSlice
from app.db.session import Database
from app.models import User
from app.schemas.incident import IncidentCreate
from app.services.incidents import collaboration_service, incident_service, response_service
from app.services.policies import rollout_service
from app.utils.service_locator import build_services
from app.worker import Jobs

PAGE = 10
NEW = IncidentCreate(title="Disk is full on host-web-1", severity=Severity.HIGH, service="service-7")
ONE = "SELECT id FROM incidents WHERE {} ORDER BY id DESC OFFSET (SELECT count(*) FROM incidents) / 100 LIMIT 1"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the questions are about: an incident in the middle, an open one, people, a policy."""

    at: datetime
    size: int
    open_id: int
    person: User
    policy_id: int

    @classmethod
    def of(cls, database: Database) -> "Facts":
        with database.transaction() as session:
            size, open_id, person_id, policy_id = (
                session.scalar(text(query))
                for query in (
                    "SELECT max(id) FROM incidents",
                    ONE.format("status = 'open'"),
                    "SELECT min(id) FROM users",
                    "SELECT min(id) FROM escalation_policies",
                )
            )
            person = crud_user.get(session, person_id)
            assert person is not None  # the seed made it
            return cls(now(session), size, open_id, person, policy_id)

    @property
    def middle(self) -> int:
        return self.size // 2

    @property
    def year_ago(self) -> datetime:
        return self.at - timedelta(days=365)

    @property
    def people(self) -> list[int]:
        return [self.person.id + number for number in range(5)]


Ask = Callable[[Session, Facts], Any]


def _listed(wanted: Callable[[Facts], dict[str, Any]] = lambda _: {}, **part: Any) -> Ask:
    return lambda session, facts: crud_incident.slice(session, IncidentFilter(**wanted(facts)), TimeSlice(PAGE, **part))


def _sent(**wanted: Any) -> Ask:
    return lambda session, _: crud_notification.slice(
        session, NotificationFilter(**wanted), Slice(PAGE), visible_to=None
    )


def _next_page(session: Session, facts: Facts) -> Any:
    place = Place(facts.year_ago, 1)
    return crud_incident.slice(session, IncidentFilter(), TimeSlice(PAGE, before=place))


def _switch_off(session: Session, facts: Facts) -> None:
    policy = crud_policy.get(session, facts.policy_id)
    assert policy is not None  # the seed made it
    policy.is_active = False
    rollout_service.start(session, policy, at=now(session), batch=PAGE)


QUESTIONS: dict[str, Ask] = {
    "list": _listed(),
    "next page": _next_page,
    "`skip=900`": _listed(skip=900),
    "`status=open`": _listed(lambda _: {"status": [IncidentStatus.OPEN]}),
    "`status=acknowledged`": _listed(lambda _: {"status": [IncidentStatus.ACKNOWLEDGED]}),
    "two values of `status`": _listed(lambda _: {"status": [IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED]}),
    "`severity=critical`": _listed(lambda _: {"severity": [Severity.CRITICAL]}),
    "`service` behind a storm": _listed(lambda _: {"service": ["service-1"]}),
    "two values of `service`": _listed(lambda _: {"service": ["service-1", "service-2"]}),
    "`service` and `status=open`": _listed(lambda _: {"service": ["service-storm"], "status": [IncidentStatus.OPEN]}),
    "`service` and `severity=low`": _listed(lambda _: {"service": ["service-1"], "severity": [Severity.LOW]}),
    "`source`": _listed(lambda _: {"source": ["api"]}),
    "`created_by`": _listed(lambda facts: {"created_by": [facts.person.id]}),
    "`assigned_to`, five people": _listed(lambda facts: {"assigned_to": facts.people}),
    "`created_before` a year ago": _listed(lambda facts: {"created_before": facts.year_ago}),
    "the same, `status=open`": _listed(
        lambda facts: {"created_before": facts.year_ago, "status": [IncidentStatus.OPEN]}
    ),
    "the same, `service`": _listed(lambda facts: {"created_before": facts.year_ago, "service": ["service-1"]}),
    "`created_after` a year ago": _listed(lambda facts: {"created_after": facts.year_ago}),
    "`unmatched=true`": _listed(lambda _: {"is_unmatched": True}),
    "`q`, a frequent word": _listed(lambda _: {"words": ["disk"]}),
    "`q`, three words": _listed(lambda _: {"words": ["disk", "full", "web"]}),
    "`q`, the name of a host": _listed(lambda _: {"words": ["host-web-2231"]}),
    "`q`, a part of it": _listed(lambda _: {"words": ["web-22"]}),
    "`q`, two letters": _listed(lambda _: {"words": ["zq"]}),
    "`q`, a word that is nowhere": _listed(lambda _: {"words": ["zebra"]}),
    "get": lambda s, f: collaboration_service.record_of(s, f.middle, Slice(limit=500, max_bytes=1024 * 1024)),
    "timeline": lambda s, f: crud_timeline.slice(s, f.middle, Slice(PAGE)),
    "notifications": _sent(),
    "notifications, `status=dead`": _sent(status=[DeliveryStatus.DEAD]),
    "notifications, `status=dead&channel=email`": _sent(status=[DeliveryStatus.DEAD], channel=["email"]),
    "notifications, `status=pending`": _sent(status=[DeliveryStatus.PENDING]),
    "notifications, `channel=slack`, unused": _sent(channel=["slack"]),
    "create": lambda s, f: incident_service.open(s, NEW, by=f.person),
    "acknowledge": lambda s, f: response_service.acknowledge(s, f.open_id, None, by=f.person),
    "unsent pages of an incident": lambda s, f: crud_outbox.unsent_of(s, [f.middle]),
    "a batch of switching a policy off": _switch_off,
}


def tick_of(settings: Settings, database: Database) -> Callable[[], object]:
    """What a worker plans every second."""
    services = build_services(settings, database)
    return Jobs(services.delivery, services.paging, width=1).plan
