"""How people respond to incidents, for many at once: they acknowledge and resolve, with a comment or without."""

from collections.abc import Collection, Sequence

from sqlalchemy.orm import Session

from app.core.batches import LOCKED, Locked
from app.core.errors import DomainError, NotFound
from app.crud import crud_incident
from app.crud.clock import now
from app.models import Incident, User
from app.schemas.incident import ActionNote
from app.services.incidents import collaboration_service, lifecycle_service
from app.services.incidents.incident import Move, MoveRequest
from app.services.incidents.lifecycle_service import Moving

Action = tuple[int, ActionNote | None]  # the incident's id, and the comment that comes with the action
Asked = Sequence[tuple[User, Action]]
Outcome = Incident | DomainError | Locked


def acknowledge(session: Session, incident_id: int, note: ActionNote | None, *, by: User) -> Incident:
    """Somebody is on it: paging stops. Raises InvalidTransition, NotFound."""
    return _done(acknowledge_each(session, [(by, (incident_id, note))], waits=True))


def resolve(session: Session, incident_id: int, note: ActionNote | None, *, by: User) -> Incident:
    """It is over. Raises NotFound."""
    return _done(resolve_each(session, [(by, (incident_id, note))], waits=True))


def _done(outcomes: Sequence[Outcome]) -> Incident:
    [outcome] = outcomes
    if isinstance(outcome, DomainError):
        raise outcome
    if isinstance(outcome, Locked):
        raise TypeError("an action that waits met a locked incident")
    return outcome


def acknowledge_each(session: Session, asked: Asked, *, waits: bool) -> list[Outcome]:
    """Acknowledge one incident for each of the users: somebody is on it, and paging stops.

    Unless it `waits`, LOCKED stands for an incident that another transaction has locked.
    """
    return _act(session, Move.ACKNOWLEDGE, asked, waits=waits)


def resolve_each(session: Session, asked: Asked, *, waits: bool) -> list[Outcome]:
    """Resolve one incident for each of the users: it is over. See `acknowledge_each`."""
    return _act(session, Move.RESOLVE, asked, waits=waits)


def _act(session: Session, move: Move, asked: Asked, *, waits: bool) -> list[Outcome]:
    incidents = _locked(session, {incident_id for _, (incident_id, _) in asked}, waits=waits)
    wanted = MoveRequest(move, now(session))
    targets = [(user, incidents[incident_id]) for user, (incident_id, _) in asked]
    movings = [Moving(target, wanted, by=user) for user, target in targets if isinstance(target, Incident)]
    moved = iter(lifecycle_service.move_each(session, movings, at=wanted.at))
    outcomes = [next(moved) if isinstance(target, Incident) else target for _, target in targets]
    for (user, (_, note)), outcome in zip(asked, outcomes, strict=True):
        if isinstance(outcome, Incident):
            collaboration_service.comment_with_action(session, outcome, note, by=user)
    session.flush()
    return outcomes


def _locked(session: Session, ids: Collection[int], *, waits: bool) -> dict[int, Outcome]:
    """Each of the incidents, locked; NotFound or LOCKED in the place of one that cannot be had."""
    if waits:
        found, busy = crud_incident.lock_each(session, ids), set[int]()
    else:
        found = crud_incident.lock_available(session, ids)
        busy = crud_incident.existing(session, set(ids) - found.keys())
    return {id_: found.get(id_) or (LOCKED if id_ in busy else NotFound(f"There is no incident {id_}.")) for id_ in ids}
