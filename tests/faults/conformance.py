"""Makes the same random moves in the model and in the service on PostgreSQL, and compares both after each."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from app.core.config import Settings
from app.core.errors import AlertOpenElsewhere, InvalidTransition
from app.core.source import AlertSignal
from app.core.vocabulary import Severity
from app.crud import crud_user
from app.db.session import Database
from app.schemas.escalation import PolicyCreate, PolicyUpdate
from app.schemas.incident import IncidentCreate, IncidentUpdate, Snooze
from app.services.incidents import alert_service, incident_service, lifecycle_service, response_service
from app.services.policies import (
    manual_escalation_service,
    policy_service,
    rollout_service,
    step_service,
    unmatched_service,
)
from app.services.ports import Paging
from app.utils.service_locator import build_services
from tests.faults.model import (
    ACKNOWLEDGED,
    ADMINS,
    ASSIGNEES,
    CHANGES,
    OPEN,
    RESOLVED,
    SNOOZED,
    Incident,
    Model,
    Version,
)
from tests.faults.snapshots import Snapshot, of_model, of_service

SERVICES = ["api", "web"]
SEVERITIES = ["low", "high", "critical"]
DELAYS = [0, 60, 300]
ADVANCES = [1, 9, 10, 59, 60, 61, 240, 300, 600, 3600]
BATCH = 100
MOST_POLICIES, MOST_INCIDENTS = 3, 3
Doing = Callable[[Session], Any]


class Mailbox:
    """A channel by which everybody can be reached. Nothing is sent here."""

    name = "email"

    def send(self, envelope: Any) -> Any:
        raise NotImplementedError

    def provider(self, address: str) -> str:
        return "mailbox"


class Pair:
    """The model and the service, in one transaction whose beginning is the model's second 0."""

    def __init__(self, connection: Connection, paging: Paging, people: dict[str, int], seed: str) -> None:
        self.model = Model()
        self.done: list[str] = []
        self._connection = connection
        self._database = Database(connection)
        self._paging = paging
        self._people = people
        self._chance = random.Random(seed)
        self._incident_ids: list[int] = []
        self._policy_ids: list[int] = []
        self._tell_time()
        for function in (self.add_policy, self.open, self._pick([self.add_policy, self.alert])):
            function()

    def step(self) -> None:
        """Make one random move in both."""
        moves: list[tuple[int, Callable[[], None]]] = [
            (6, self.advance),
            (6, self.tick),
            (3, self.open),
            (3, self.alert),
            (2, self.add_policy),
            (2, self.send),
        ]
        if self._incident_ids:
            moves += [(8, self.move), (4, self.edit), (4, self.escalate)]
        if self._policy_ids:
            moves += [(2, self.switch), (2, self.change_policy), (1, self.delete_policy)]
        weights, functions = zip(*moves, strict=True)
        [function] = self._chance.choices(functions, weights)
        function()

    def divergence(self) -> str | None:
        """What differs, after the moves so far; None if nothing does."""
        mine: Snapshot = of_model(self.model)
        theirs: Snapshot = of_service(self._connection, self._incident_ids, self._policy_ids, self._people)
        if mine == theirs:
            return None
        lines = [
            f"{key}: the model has {mine.get(key)}, the service {theirs.get(key)}"
            for key in mine | theirs
            if mine.get(key) != theirs.get(key)
        ]
        return "\n".join([*self.done, *lines])

    def advance(self) -> None:
        seconds = self._chance.choice(ADVANCES)
        self._say(f"advance {seconds}")
        self.model.now += seconds
        self._tell_time()

    def tick(self) -> None:
        self._say("tick")
        self.model.tick()
        self._do(lambda session: lifecycle_service.end_snoozes(session, limit=BATCH))
        while self._do(lambda session: rollout_service.advance(session, set())):
            pass
        self._do(lambda session: unmatched_service.page_due(session, self._paging, limit=BATCH))
        while self._do(lambda session: step_service.run_due(session, self._paging, limit=BATCH)):
            pass

    def open(self) -> None:
        if len(self._incident_ids) >= MOST_INCIDENTS:
            return
        service, severity = self._pick(SERVICES), self._pick(SEVERITIES)
        assignee = self._pick([None, "one"])
        self._say(f"open {service} {severity} for {assignee}")
        self.model.open(Incident(service, severity, {assignee} if assignee else set()))
        new = IncidentCreate(
            title="t", severity=Severity(severity), service=service, assigned_to=self._people.get(assignee or "")
        )
        self._do(
            lambda session: self._incident_ids.append(incident_service.open(session, new, by=self._admin(session)).id)
        )

    def alert(self) -> None:
        key, service, severity = self._pick(["a", "b"]), self._pick(SERVICES), self._pick(SEVERITIES)
        if len(self._incident_ids) >= MOST_INCIDENTS and not any(i.alert == key for i in self.model.incidents):
            return
        self._say(f"alert {key} {service} {severity}")
        self.model.alert(key, severity, service)
        signal = AlertSignal("elastic", key, True, "t", None, severity, service, {})
        [result] = self._do(lambda session: alert_service.ingest(session, [signal], default_severity=Severity.HIGH))
        if result.incident_id not in self._incident_ids:
            self._incident_ids.append(result.incident_id)

    def move(self) -> None:
        number, to = self._incident(), self._pick([ACKNOWLEDGED, RESOLVED, SNOOZED, OPEN])
        minutes = self._pick([1, 5, 60])
        self._say(f"incident {number} {to} ({minutes} min)")
        until = self.model.now + 60 * minutes if to == SNOOZED else None
        allowed = self.model.move(self.model.incidents[number], to, until)
        id_ = self._incident_ids[number]
        moves: dict[str, Doing] = {
            ACKNOWLEDGED: lambda session: response_service.acknowledge(session, id_, None, by=self._admin(session)),
            RESOLVED: lambda session: response_service.resolve(session, id_, None, by=self._admin(session)),
            OPEN: lambda session: incident_service.reopen(session, id_, by=self._admin(session)),
            SNOOZED: lambda session: incident_service.snooze(
                session, id_, Snooze(minutes=minutes), by=self._admin(session)
            ),
        }
        try:
            self._do(moves[to])
        except (InvalidTransition, AlertOpenElsewhere):
            assert not allowed, "\n".join([*self.done, "the service refused it"])
        else:
            assert allowed, "\n".join([*self.done, "the service allowed it"])

    def edit(self) -> None:
        number, service, severity = self._incident(), self._pick(SERVICES), self._pick(SEVERITIES)
        self._say(f"incident {number} is {service} {severity}")
        self.model.edit(self.model.incidents[number], severity=severity, service=service)
        update = IncidentUpdate(severity=Severity(severity), service=service)
        id_ = self._incident_ids[number]
        self._do(lambda session: incident_service.update(session, id_, update, by=self._admin(session)))

    def escalate(self) -> None:
        number = self._incident()
        self._say(f"escalate {number} now")
        self.model.escalate_now(self.model.incidents[number])
        id_ = self._incident_ids[number]
        by = self._admin
        self._do(lambda s: manual_escalation_service.escalate_now(s, id_, self._paging, by=by(s)))

    def add_policy(self) -> None:
        if len(self._policy_ids) >= MOST_POLICIES:
            return
        version = self._version()
        self._say(f"add policy {version}")
        self.model.add_policy(version)
        new = PolicyCreate(name=f"policy {len(self._policy_ids)}", **self._wire(version))
        self._do(lambda session: self._policy_ids.append(policy_service.create(session, new, self._paging).id))

    def change_policy(self) -> None:
        number, version = self._policy(), self._version()
        if self.model.policies[number].is_deleted:
            return
        self._say(f"policy {number} becomes {version}")
        self.model.change_policy(number, version)
        update = PolicyUpdate(**self._wire(version))
        self._do(lambda session: policy_service.update(session, self._policy_ids[number], update, self._paging))

    def switch(self) -> None:
        number, is_active = self._policy(), self._pick([True, False])
        if self.model.policies[number].is_deleted:
            return
        self._say(f"policy {number} {'on' if is_active else 'off'}")
        self.model.switch(number, is_active=is_active)
        update = PolicyUpdate(is_active=is_active)
        self._do(lambda session: policy_service.update(session, self._policy_ids[number], update, self._paging))

    def delete_policy(self) -> None:
        number = self._policy()
        if self.model.policies[number].is_deleted:
            return
        self._say(f"delete policy {number}")
        self.model.delete(number)
        self._do(lambda session: policy_service.delete(session, self._policy_ids[number]))

    def send(self) -> None:
        self._say("send")
        self.model.send()
        self._connection.execute(text("UPDATE notifications SET status = 'accepted', is_held = false"))

    def _version(self) -> Version:
        delays = sorted(self._chance.choices(DELAYS, k=self._chance.randint(1, 3)))
        stages = tuple((delay, self._pick([ADMINS, ASSIGNEES, ASSIGNEES, "two", *CHANGES])) for delay in delays)
        return Version(self._pick([None, *SERVICES]), self._pick([None, None, *SEVERITIES]), stages, self._pick([0, 1]))

    def _wire(self, version: Version) -> dict[str, Any]:
        wanted = {"service": version.service, "severity": version.severity}
        stages = [{"delay_minutes": delay / 60, "actions": [self._action(what)]} for delay, what in version.stages]
        conditions = {name: value for name, value in wanted.items() if value is not None}
        return {"conditions": conditions, "steps": stages, "repeat": version.repeat}

    def _action(self, what: str) -> dict[str, Any]:
        if what == "comment":
            return {"type": "comment", "content": "Look at the dashboard."}
        if what in CHANGES:
            return {"type": "change_status", "status": what}
        return {"type": "notify", "target": self._people.get(what, what)}

    def _admin(self, session: Session) -> Any:
        return crud_user.get(session, self._people[ADMINS])

    def _do(self, doing: Doing) -> Any:
        with self._database.transaction() as session:
            return doing(session)

    def _tell_time(self) -> None:
        statement = text("SELECT set_config('incidents.clock_offset', :offset, false)")
        self._connection.execute(statement, {"offset": f"{self.model.now} seconds"})

    def _pick(self, values: list[Any]) -> Any:
        return self._chance.choice(values)

    def _incident(self) -> int:
        return self._chance.randrange(len(self._incident_ids))

    def _policy(self) -> int:
        return self._chance.randrange(len(self._policy_ids))

    def _say(self, what: str) -> None:
        self.done.append(what)


def paging_of(settings: Settings, database: Database) -> Paging:
    return build_services(settings, database, channels={"email": Mailbox()}).paging


def run_sequences(
    database: Database, paging: Paging, people: dict[str, int], seeds: list[str], moves: int
) -> Counter[str]:
    """Run sequences, each in a transaction that is rolled back. Raises AssertionError at the first divergence."""
    made: Counter[str] = Counter()
    with database.connection() as connection:
        for seed in seeds:
            outer = connection.begin()
            pair = Pair(connection, paging, people, seed)
            for _ in range(moves):
                pair.step()
                if difference := pair.divergence():
                    raise AssertionError(f"sequence {seed}:\n{difference}")
            made.update(done.split()[0] for done in pair.done)
            outer.rollback()
    return made
