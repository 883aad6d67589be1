"""The naive service. Run with `uvicorn benchmarks.naive.main:app`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query
from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload, selectinload

from benchmarks.naive import escalation
from benchmarks.naive.auth import CurrentUser, SessionDep, authenticate, create_access_token, require_webhook_token
from benchmarks.naive.models import Assignment, Incident, TimelineEvent, User
from benchmarks.naive.schemas import (
    Alert,
    AlertAnswer,
    IncidentCreate,
    IncidentDetail,
    IncidentRead,
    Login,
    Token,
    UserRead,
)

LINKS = {"docs": "/docs", "redoc": "/redoc", "openapi": "/openapi.json", "health": "/health", "api": "/v1"}
MAX_ROUNDS = 10

app = FastAPI(title="Naive incident service")


@app.get("/")
async def root() -> dict[str, Any]:
    """Say what this is: the bare route that ours with all its middleware is compared with."""
    return {"name": "Incident Management System", "version": "0.1.0", "links": LINKS}


@app.post("/v1/auth/login/access-token")
def login(body: Login, session: SessionDep) -> Token:
    """Log in."""
    user = authenticate(session, body.username, body.password)
    if user is None:
        raise HTTPException(401, "Incorrect email or password")
    return Token(access_token=create_access_token(user))


@app.get("/v1/users/me", response_model=UserRead)
def read_me(user: CurrentUser) -> User:
    """Who am I."""
    return user


@app.post("/v1/incidents", status_code=201, response_model=IncidentRead)
def create_incident(body: IncidentCreate, session: SessionDep, user: CurrentUser) -> Incident:
    """Open an incident, with its timeline and its escalations."""
    incident = Incident(**body.model_dump(), created_by=user.id, source="api")
    incident.timeline_events.append(_opened(incident, user))
    session.add(incident)
    escalation.start(session, incident)
    session.commit()
    session.refresh(incident)
    return incident


@app.get("/v1/incidents", response_model=list[IncidentRead])
def list_incidents(
    session: SessionDep,
    _user: CurrentUser,
    q: str | None = None,
    skip: int = 0,
    limit: Annotated[int, Query(le=500)] = 100,
) -> Sequence[Incident]:
    """The newest incidents, or those that mention a text."""
    query = select(Incident).options(
        selectinload(Incident.escalations), joinedload(Incident.creator), joinedload(Incident.assignee)
    )
    if q:
        pattern = f"%{q}%"
        columns = (Incident.title, Incident.description, Incident.service)
        query = query.where(or_(*(column.ilike(pattern) for column in columns)))
    return session.scalars(query.order_by(Incident.id.desc()).offset(skip).limit(limit)).all()


@app.get("/v1/incidents/{incident_id}", response_model=IncidentDetail)
def read_incident(incident_id: int, session: SessionDep, _user: CurrentUser) -> Incident:
    """One incident with its record."""
    return _found(session, incident_id)


@app.post("/v1/incidents/{incident_id}/acknowledge", response_model=IncidentRead)
def acknowledge(incident_id: int, session: SessionDep, user: CurrentUser) -> Incident:
    """Somebody is on it."""
    return _move(session, incident_id, user, "acknowledged")


@app.post("/v1/incidents/{incident_id}/resolve", response_model=IncidentRead)
def resolve(incident_id: int, session: SessionDep, user: CurrentUser) -> Incident:
    """It is over."""
    return _move(session, incident_id, user, "resolved")


@app.post("/v1/alerts/elastic", status_code=201, dependencies=[Depends(require_webhook_token)])
def receive_alert(alert: Alert, session: SessionDep) -> AlertAnswer:
    """Open the incident of the alert's key, or count the alert on the one that is open."""
    for _ in range(MAX_ROUNDS):
        incident = _unresolved(session, alert.alert_id) if alert.alert_id else None
        if incident is not None:
            return _repeat(session, incident, alert)
        try:
            return _open(session, alert)
        except IntegrityError:  # another request was faster
            session.rollback()
    raise HTTPException(409, "The alert is opened and resolved faster than it can be applied")


def _unresolved(session: Session, alert_id: str) -> Incident | None:
    query = select(Incident).where(
        Incident.source == "elastic", Incident.alert_id == alert_id, Incident.status != "resolved"
    )
    return session.scalar(query.with_for_update())


def _open(session: Session, alert: Alert) -> AlertAnswer:
    incident = Incident(
        title=alert.alert_name,
        description=alert.message,
        severity=alert.severity,
        service=alert.service.name,
        source="elastic",
        alert_id=alert.alert_id,
        alert_count=1,
        last_alert_at=datetime.now(UTC),
        metadata_=alert.model_dump(),
    )
    incident.timeline_events.append(_opened(incident, None))
    session.add(incident)
    escalation.start(session, incident)
    session.commit()
    session.refresh(incident)
    return AlertAnswer(
        status="incident_created", incident_id=incident.id, message=f"Incident {incident.id} was opened."
    )


def _repeat(session: Session, incident: Incident, alert: Alert) -> AlertAnswer:
    incident.alert_count += 1
    incident.last_alert_at = incident.updated_at = datetime.now(UTC)
    incident.metadata_ = alert.model_dump()
    session.add(
        TimelineEvent(
            incident_id=incident.id,
            event_type="alert_repeated",
            description=f"The alert was repeated: {incident.alert_count} in all.",
            metadata_={"alert_count": incident.alert_count},
        )
    )
    session.commit()
    session.refresh(incident)
    return AlertAnswer(
        status="incident_updated", incident_id=incident.id, message=f"Incident {incident.id} was updated."
    )


def _found(session: Session, incident_id: int) -> Incident:
    incident = session.get(Incident, incident_id)
    if incident is None:
        raise HTTPException(404, "Incident not found")
    return incident


def _move(session: Session, incident_id: int, user: User, status: str) -> Incident:
    incident = _found(session, incident_id)
    if incident.status == status:
        return incident
    if incident.status == "resolved":
        raise HTTPException(409, "A resolved incident cannot be acknowledged")
    data = {"from": incident.status, "to": status}
    incident.status = status
    incident.updated_at = datetime.now(UTC)
    if status == "acknowledged":
        incident.acknowledged_at = incident.updated_at
    else:
        incident.resolved_at = incident.updated_at
    description = f"Incident {status}."
    event = TimelineEvent(
        incident_id=incident.id, event_type=status, description=description, user_id=user.id, metadata_=data
    )
    if status == "acknowledged":
        _assign(session, incident, user)
    session.add(event)
    escalation.stop(incident)
    session.commit()
    session.refresh(incident)
    return incident


def _assign(session: Session, incident: Incident, user: User) -> None:
    """Who acknowledges an incident works on it, and owns it if nobody does."""
    if any(assignment.user_id == user.id for assignment in incident.assignments):
        return
    incident.assigned_to = incident.assigned_to or user.id
    session.add(Assignment(incident_id=incident.id, user_id=user.id, role="responder"))
    data = {"user_id_assigned": user.id, "user_name_assigned": user.name, "role": "responder"}
    said = f"Assigned {user.name} as responder."
    session.add(
        TimelineEvent(incident_id=incident.id, event_type="assigned", description=said, user_id=user.id, metadata_=data)
    )


def _opened(incident: Incident, user: User | None) -> TimelineEvent:
    return TimelineEvent(
        event_type="created",
        description=f"Incident opened with severity {incident.severity}.",
        user_id=user.id if user else None,
        metadata_={"source": incident.source},
    )
