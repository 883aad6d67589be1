"""A model of the state machine, written from its description and from none of its code. Times are whole seconds."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

OPEN, ACKNOWLEDGED, SNOOZED, RESOLVED = "open", "acknowledged", "snoozed", "resolved"
RUNNING, FINISHED, STOPPED, ENDED = "running", "finished", "stopped", "ended"
RANKS = ["low", "medium", "high", "critical"]
ADMINS, ASSIGNEES = "admins", "assignees"
LOOP_GAP_SECONDS = 60
MANUAL_PAUSE_SECONDS = 10


@dataclass(frozen=True)
class Version:
    """What an escalation is pinned to. A stage is when it is due and whom it pages."""

    service: str | None
    severity: str | None
    stages: tuple[tuple[int, str], ...]
    repeat: int

    def matches(self, incident: "Incident") -> bool:
        return self.service in (None, incident.service) and self.severity in (None, incident.severity)


@dataclass
class Policy:
    current: Version
    is_active: bool = True
    is_deleted: bool = False
    is_spreading: bool = False  # its change comes to every open incident once more, with the next tick

    @property
    def is_on(self) -> bool:
        return self.is_active and not self.is_deleted


@dataclass
class Escalation:
    version: Version
    cycle: int
    loop: int
    repeats_left: int
    due: int | None
    state: str = RUNNING
    step: int = 0
    has_reached: bool = False

    def stop(self) -> None:
        if self.state == RUNNING:
            self.state, self.due = STOPPED, None


@dataclass
class Incident:
    service: str
    severity: str
    assignee: str | None = None
    alert: str | None = None
    alert_severity: str | None = None
    alert_count: int = 0
    status: str = OPEN
    cycle: int = 1
    snoozed_until: int | None = None
    escalated_at: int | None = None
    escalations: dict[int, Escalation] = field(default_factory=dict)
    events: set[tuple[int, int, int, int]] = field(default_factory=set)  # policy, cycle, loop, step
    pages: Counter[tuple[int, str, str]] = field(default_factory=Counter)  # cycle, kind, recipient
    unsent: set[tuple[int, str]] = field(default_factory=set)  # cycle, recipient


class Model:
    """The whole system: `now`, policies and incidents. Every move is a method."""

    def __init__(self) -> None:
        self.now = 0
        self.policies: list[Policy] = []
        self.incidents: list[Incident] = []

    # What people and alerts do.

    def open(self, incident: Incident) -> None:
        self.incidents.append(incident)
        self._start_matching(incident)

    def move(self, incident: Incident, to: str, until: int | None = None) -> bool:
        """Acknowledge, resolve, snooze or reopen. False if the move is refused."""
        if incident.status == RESOLVED and to in (ACKNOWLEDGED, SNOOZED):
            return False
        if incident.status == RESOLVED and to == OPEN and self._elsewhere(incident):
            return False
        if incident.status == to != SNOOZED:
            return True
        incident.status, incident.snoozed_until = to, until
        if to == OPEN:
            self._new_cycle(incident)
        else:
            self._stop(incident)
        return True

    def alert(self, key: str, severity: str, service: str) -> None:
        """An alert opens an incident, or repeats; only one that became worse than it ever was raises."""
        incident = next((i for i in self.incidents if i.alert == key and i.status != RESOLVED), None)
        if incident is None:
            self.open(Incident(service, severity, alert=key, alert_severity=severity, alert_count=1))
            return
        incident.alert_count += 1
        if _is_worse(severity, incident.alert_severity or "low"):
            incident.alert_severity = severity
            if _is_worse(severity, incident.severity):
                incident.severity = severity
                was_open = incident.status == OPEN
                incident.status, incident.snoozed_until = OPEN, None
                if was_open:
                    self._rematch(incident)
                else:
                    self._new_cycle(incident)

    def edit(self, incident: Incident, *, severity: str, service: str) -> None:
        if (incident.severity, incident.service) != (severity, service):
            incident.severity, incident.service = severity, service
            self._rematch(incident)

    def escalate_now(self, incident: Incident) -> None:
        """Every policy that matches, or did when it began, fires its next step; the admins are paged if none does."""
        if incident.status == RESOLVED:
            return
        if incident.escalated_at is not None and self.now < incident.escalated_at + MANUAL_PAUSE_SECONDS:
            return
        incident.escalated_at = self.now
        if incident.status == SNOOZED:
            incident.status, incident.snoozed_until = OPEN, None
            self._new_cycle(incident)
        self._begin_matching(incident)
        fired = [number for number in sorted(incident.escalations) if self._has_begun(incident, number)]
        for number in fired:
            self._fire_manually(incident, number)
        if not fired:
            self._page(incident, [ADMINS], kind="manual_page")

    def send(self) -> None:
        """Everything in the outbox is sent."""
        for incident in self.incidents:
            incident.unsent.clear()

    # What happens to policies.

    def add_policy(self, version: Version) -> None:
        self.policies.append(Policy(version))
        self._change(len(self.policies) - 1)

    def change_policy(self, number: int, version: Version) -> None:
        self.policies[number].current = version

    def switch(self, number: int, *, is_active: bool) -> None:
        if self.policies[number].is_active != is_active:
            self.policies[number].is_active = is_active
            self._change(number)

    def delete(self, number: int) -> None:
        self.policies[number].is_deleted = True
        self._change(number)

    def _change(self, number: int) -> None:
        self._spread(number)
        self.policies[number].is_spreading = True

    # What the worker does.

    def tick(self) -> None:
        for incident in self.incidents:
            if incident.snoozed_until is not None and incident.snoozed_until <= self.now:
                incident.status, incident.snoozed_until = OPEN, None
                self._new_cycle(incident)
        for number, policy in enumerate(self.policies):
            if policy.is_spreading:
                self._spread(number)
                policy.is_spreading = False
        while due := list(self._due()):
            for incident, number in due:
                self._fire(incident, number, kind="page")

    def _due(self) -> Iterator[tuple[Incident, int]]:
        for incident in self.incidents:
            for number, row in sorted(incident.escalations.items()):
                if row.due is not None and row.due <= self.now:
                    yield incident, number

    # The rules.

    def _elsewhere(self, incident: Incident) -> bool:
        same = [i for i in self.incidents if i.alert == incident.alert and i is not incident]
        return incident.alert is not None and any(i.status != RESOLVED for i in same)

    def _stop(self, incident: Incident) -> None:
        for row in incident.escalations.values():
            row.stop()

    def _new_cycle(self, incident: Incident) -> None:
        incident.cycle += 1
        self._stop(incident)
        self._start_matching(incident)

    def _matching(self, incident: Incident) -> list[int]:
        return [n for n, p in enumerate(self.policies) if p.is_on and p.current.matches(incident)]

    def _start_matching(self, incident: Incident) -> None:
        for number in self._matching(incident):
            self._start(incident, number, self.policies[number].current)

    def _rematch(self, incident: Incident) -> None:
        for number, row in incident.escalations.items():
            if not self._goes_on(incident, number):
                row.state, row.due = ENDED, None
        if incident.status == OPEN:
            self._begin_matching(incident)

    def _begin_matching(self, incident: Incident) -> None:
        for number in self._matching(incident):
            if not self._has_begun(incident, number):
                self._start(incident, number, self.policies[number].current)

    def _goes_on(self, incident: Incident, number: int) -> bool:
        """By the conditions with which it began, whatever was edited since."""
        version = incident.escalations[number].version
        return self.policies[number].is_on and self._has_begun(incident, number) and version.matches(incident)

    def _has_begun(self, incident: Incident, number: int) -> bool:
        row = incident.escalations.get(number)
        return row is not None and row.cycle == incident.cycle and row.state != ENDED

    def _spread(self, number: int) -> None:
        policy = self.policies[number]
        for incident in self.incidents:
            if policy.is_on:
                is_new = incident.status == OPEN and not self._has_begun(incident, number)
                if is_new and policy.current.matches(incident):
                    self._start(incident, number, policy.current)
            elif incident.status != RESOLVED and number in incident.escalations:
                incident.escalations[number].state, incident.escalations[number].due = ENDED, None

    def _start(self, incident: Incident, number: int, version: Version) -> None:
        before = incident.escalations.get(number)
        loop = before.loop + 1 if before else 0
        due = self.now + version.stages[0][0]
        incident.escalations[number] = Escalation(version, incident.cycle, loop, version.repeat, due)

    def _fire_manually(self, incident: Incident, number: int) -> None:
        row = incident.escalations[number]
        if row.state == FINISHED:
            self._start(incident, number, row.version)
        self._fire(incident, number, kind="manual_page")
        row = incident.escalations[number]
        while row.due is not None and row.due <= self.now:
            self._fire(incident, number, kind="manual_page")
        if incident.status != OPEN:
            row.stop()

    def _fire(self, incident: Incident, number: int, *, kind: str) -> None:
        row = incident.escalations[number]
        stages = row.version.stages
        delay, target = stages[row.step]
        incident.events.add((number, row.cycle, row.loop, row.step))
        whom = ([incident.assignee] if incident.assignee else []) if target == ASSIGNEES else [target]
        self._page(incident, whom, kind=kind)
        row.has_reached = row.has_reached or bool(whom)
        row.state = RUNNING
        if row.step + 1 < len(stages):
            row.step += 1
            row.due = self.now + (stages[row.step][0] - delay if whom else 0)
            return
        if not row.has_reached:
            self._page(incident, [ADMINS], kind=kind)
        self._end_loop(row, last_delay=delay)

    def _end_loop(self, row: Escalation, *, last_delay: int) -> None:
        if row.repeats_left == 0:
            row.state, row.due = FINISHED, None
            return
        row.loop, row.step, row.repeats_left, row.has_reached = row.loop + 1, 0, row.repeats_left - 1, False
        row.due = self.now + max(last_delay, LOOP_GAP_SECONDS) + row.version.stages[0][0]

    def _page(self, incident: Incident, whom: list[str], *, kind: str) -> None:
        """A page joins an unsent one of this cycle to the same person; one that somebody asked for does not."""
        for person in whom:
            if kind == "page" and (incident.cycle, person) in incident.unsent:
                continue
            incident.pages[incident.cycle, kind, person] += 1
            incident.unsent.add((incident.cycle, person))


def _is_worse(one: str, other: str) -> bool:
    return RANKS.index(one) > RANKS.index(other)
