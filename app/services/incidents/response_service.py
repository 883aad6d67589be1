"""How people respond to incidents, for many at once: they acknowledge and resolve, with a comment or without."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.orm import Session

from app.core.batches import LOCKED, Locked
from app.core.errors import DomainError, NotFound
from app.core.plain_lines import PlainLines
from app.crud import crud_assignment, crud_escalation, crud_incident, crud_outbox
from app.crud.clock import now
from app.crud.crud_response import LockedIncident, crud_response
from app.crud.crud_status_update import StatusChange
from app.models import User
from app.schemas.incident import ActionNote
from app.services import counting_service, timeline_service
from app.services.asked import Asked
from app.services.counting_service import Responses
from app.services.incidents import collaboration_service, lifecycle_service, status_update_service
from app.services.incidents.incident import Move, MoveRequest
from app.services.incidents.move_record import RESPONDER, Entry, entry_of_move, taking

lines = PlainLines(__name__)

Action = tuple[int, ActionNote | None]  # the incident's id, and the comment that comes with the action
Outcome = LockedIncident | DomainError | Locked
Row = dict[str, Any]


def acknowledge(session: Session, incident_id: int, note: ActionNote | None, *, by: User) -> LockedIncident:
    """Somebody is on it: paging stops. Raises InvalidTransition, NotFound."""
    return _done(acknowledge_each(session, [Asked(by, (incident_id, note))], waits=True))


def resolve(session: Session, incident_id: int, note: ActionNote | None, *, by: User) -> LockedIncident:
    """It is over. Raises NotFound."""
    return _done(resolve_each(session, [Asked(by, (incident_id, note))], waits=True))


def _done(outcomes: Sequence[Outcome]) -> LockedIncident:
    [outcome] = outcomes
    if isinstance(outcome, DomainError):
        raise outcome
    if isinstance(outcome, Locked):
        raise TypeError("an action that waits met a locked incident")
    return outcome


def acknowledge_each(session: Session, asked: Sequence[Asked[Action]], *, waits: bool) -> list[Outcome]:
    """Acknowledge one incident for each of the users: somebody is on it, and paging stops.

    Unless it `waits`, LOCKED stands for an incident that another transaction has locked.
    """
    return _act(session, Move.ACKNOWLEDGE, asked, waits=waits)


def resolve_each(session: Session, asked: Sequence[Asked[Action]], *, waits: bool) -> list[Outcome]:
    """Resolve one incident for each of the users: it is over. See `acknowledge_each`."""
    return _act(session, Move.RESOLVE, asked, waits=waits)


def _act(session: Session, move: Move, asked: Sequence[Asked[Action]], *, waits: bool) -> list[Outcome]:
    wanted = [one.wanted[0] for one in asked]
    ids = set(wanted)
    locked = crud_response.lock(session, ids, waits=waits)
    busy = set() if waits else crud_incident.existing(session, ids - locked.keys())
    responses = [(one.wanted[0], one.user) for one in asked if one.wanted[0] in locked]
    batch = _Batch(MoveRequest(move, now(session)), locked, crud_assignment.among(session, _takes(move, responses)))
    refusals = iter([batch.respond(incident_id, user) for incident_id, user in responses])
    _write(session, batch)
    refused = [next(refusals) if id_ in locked else _unavailable(id_, busy) for id_ in wanted]
    for one, refusal in zip(asked, refused, strict=True):
        incident_id, note = one.wanted
        if refusal is None and note is not None and note.comment is not None:
            _comment(session, batch, incident_id, note, by=one.user)
    _look_ahead(session, batch)
    return [locked[id_] if refusal is None else refusal for id_, refusal in zip(wanted, refused, strict=True)]


def _takes(move: Move, responses: Sequence[tuple[int, User]]) -> list[tuple[int, int]]:
    """The ids of each incident and of the person who takes it. An API key takes none."""
    is_taking = move is Move.ACKNOWLEDGE
    return [(incident_id, by.id) for incident_id, by in responses if is_taking and by.api_key is None]


def _unavailable(incident_id: int, busy: Collection[int]) -> Locked | NotFound:
    return LOCKED if incident_id in busy else NotFound(f"There is no incident {incident_id}.")


@dataclass(frozen=True, slots=True)
class _Batch:
    """Responses to locked incidents, and what they write.

    `locked` has the incidents as they are after the last response, `assigned` the ids of incidents and their assignees.
    """

    wanted: MoveRequest
    locked: dict[int, LockedIncident]
    assigned: set[tuple[int, int]]
    moved: set[int] = field(default_factory=set)
    taken: set[tuple[int, int]] = field(default_factory=set)
    changes: list[StatusChange] = field(default_factory=list)
    assignments: list[Row] = field(default_factory=list)
    entries: list[Row] = field(default_factory=list)
    steps: list[Row] = field(default_factory=list)  # for the log
    responses: Responses = field(default_factory=Responses)  # for the metrics

    def respond(self, incident_id: int, by: User) -> DomainError | None:
        """Make a person's move, or return what refuses it. Repeating it changes nothing."""
        before = self.locked[incident_id]
        step = lifecycle_service.transition_of(before, self.wanted)
        if step.refusal is not None:
            return lifecycle_service.impossible(step, self.wanted)
        takes = _takes(self.wanted.move, [(incident_id, by)])
        self.taken.update(takes)
        if step.is_no_op:
            return None
        after = lifecycle_service.applied(before, step, at=self.wanted.at)
        if takes:
            after = self._take(after, by)
        self._enter(incident_id, entry_of_move(self.wanted, step), by)
        self.locked[incident_id] = after
        self.moved.add(incident_id)
        change = status_update_service.change_of(after, by=by)
        self.changes.extend([change] if change else [])
        lifecycle_service.note_response(self.responses, step, opened_at=before.created_at, at=self.wanted.at)
        self.steps.append({"incident_id": incident_id, "came_from": step.before.status, "to": step.after.status})
        return None

    def _take(self, incident: LockedIncident, by: User) -> LockedIncident:
        pair = (incident.id, by.id)
        taken = taking(by.id, by.display_name, owner_id=incident.assigned_to, is_assigned=pair in self.assigned)
        if taken.is_new_assignee:
            self.assigned.add(pair)
            row = {"incident_id": incident.id, "user_id": by.id, "role": RESPONDER, "assigned_at": self.wanted.at}
            self.assignments.append(row)
        if taken.entry is not None:
            self._enter(incident.id, taken.entry, by)
        return replace(incident, assigned_to=taken.owner_id)

    def _enter(self, incident_id: int, entry: Entry, by: User) -> None:
        row = {
            "incident_id": incident_id,
            "event_type": entry.event_type,
            "description": entry.description,
            "user_id": by.id,
            "metadata": timeline_service.with_key(entry.data, by),
            "created_at": self.wanted.at,
        }
        self.entries.append(row)


def _write(session: Session, batch: _Batch) -> None:
    moved = [batch.locked[id_] for id_ in batch.moved]
    crud_response.write(session, moved, assignments=batch.assignments, entries=batch.entries)
    status_update_service.add(session, batch.changes, at=batch.wanted.at)
    crud_outbox.end_chains(session, batch.taken)
    counting_service.responses(session, batch.responses)
    lines.info("incident_moved", *batch.steps)


def _comment(session: Session, batch: _Batch, incident_id: int, note: ActionNote, *, by: User) -> None:
    """Save the comment that comes with a response."""
    incident = crud_incident.by_ids(session, [incident_id])[incident_id]
    collaboration_service.comment_with_action(session, incident, note, by=by)
    session.flush()
    batch.locked[incident_id] = replace(batch.locked[incident_id], updated_at=incident.updated_at)


def _look_ahead(session: Session, batch: _Batch) -> None:
    """Say when the next step is due of the incidents that have not moved. The escalations of the others are stopped."""
    unmoved = batch.locked.keys() - batch.moved
    for incident_id, due_at in crud_escalation.next_of(session, unmoved).items():
        batch.locked[incident_id] = replace(batch.locked[incident_id], next_escalation_at=due_at)
