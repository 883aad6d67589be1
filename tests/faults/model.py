"""A model of the state machine, written from its description and from none of its code. Times are whole seconds."""

from collections import Counter
from dataclasses import dataclass, field

OPEN, ACKNOWLEDGED, SNOOZED, RESOLVED = "open", "acknowledged", "snoozed", "resolved"
RUNNING, FINISHED, STOPPED, ENDED = "running", "finished", "stopped", "ended"
RANKS = ["low", "medium", "high", "critical"]
ADMINS, ASSIGNEES = "admins", "assignees"
CHANGES = (ACKNOWLEDGED, RESOLVED, "comment")  # what a stage may do instead of paging
LOOP_GAP_SECONDS = 60
MANUAL_PAUSE_SECONDS = 10


@dataclass(frozen=True)
class Version:
    """What an escalation is pinned to. A stage is when it is due and whom it pages, or which change it makes."""

    service: str | None
    severity: str | None
    stages: tuple[tuple[int, str], ...]
    repeat: int

    def left(self, fired: set[int], *, pages: bool) -> list[int]:
        """The stages that have not fired, of those that page or of those that only change something."""
        return [n for n, (_, what) in enumerate(self.stages) if n not in fired and (what not in CHANGES) == pages]

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
    born: int  # when there was first one for this incident and policy
    state: str = RUNNING
    step: int = 0
    has_reached: bool = False
    is_last_resort_done: bool = False
    fired: set[int] = field(default_factory=set)  # in this loop
    earlier: int | None = None  # by so many seconds the stages that page are brought forward

    def time_of(self, stage: int) -> int:
        """When a stage is due, in seconds from the start of the loop."""
        delay, what = self.version.stages[stage]
        return delay if what in CHANGES else delay - (self.earlier or 0)

    def stop(self) -> None:
        if self.state == RUNNING:
            self.state, self.due = STOPPED, None


@dataclass
class Incident:
    service: str
    severity: str
    assignees: set[str] = field(default_factory=set)
    alert: str | None = None
    alert_severity: str | None = None
    alert_count: int = 0
    status: str = OPEN
    cycle: int = 1
    snoozed_until: int | None = None
    escalated_at: int | None = None
    is_unmatched: bool = False
    is_unmatched_due: bool = False  # the worker has not looked yet whether the admins are to be paged
    accepted: set[int] = field(default_factory=set)  # cycles of which a page was accepted
    escalations: dict[int, Escalation] = field(default_factory=dict)
    events: set[tuple[int, int, int, int]] = field(default_factory=set)  # policy, cycle, loop, step
    pages: Counter[tuple[int, str, str]] = field(default_factory=Counter)  # cycle, kind, recipient
    unsent: set[tuple[int, str]] = field(default_factory=set)  # cycle, recipient


class Model:
    """The whole system: `now`, policies and incidents. Every move is a method."""

    def __init__(self) -> None:
        self.now = 0
        self.born = 0
        self.policies: list[Policy] = []
        self.incidents: list[Incident] = []

    # What people and alerts do.

    def open(self, incident: Incident) -> None:
        self.incidents.append(incident)
        self._start_matching(incident)

    def move(self, incident: Incident, to: str, until: int | None = None) -> bool:
        """An admin acknowledges, and becomes an assignee by that, or resolves, snoozes, reopens. False if refused."""
        if incident.status == RESOLVED and to in (ACKNOWLEDGED, SNOOZED):
            return False
        if incident.status == RESOLVED and to == OPEN and self._elsewhere(incident):
            return False
        if incident.status == to != SNOOZED:
            return True
        self._settle(incident, to, until)
        incident.assignees |= {ADMINS} if to == ACKNOWLEDGED else set()
        return True

    def _settle(self, incident: Incident, to: str, until: int | None = None) -> None:
        incident.status, incident.snoozed_until = to, until
        if to == OPEN:
            self._new_cycle(incident)
        else:
            self._stop(incident)

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
        is_any_fired = False
        for number in sorted(incident.escalations):
            if self._has_begun(incident, number) and incident.status != RESOLVED:
                self._fire_manually(incident, number)
                is_any_fired = True
        if not is_any_fired:
            self._page(incident, [ADMINS], kind="manual_page")

    def send(self) -> None:
        """Everything in the outbox is sent."""
        for incident in self.incidents:
            incident.unsent.clear()
            incident.accepted |= {cycle for cycle, _, _ in incident.pages}

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
        for incident in self.incidents:
            self._look_at_unmatched(incident)
        while due := list(self._due()):
            for incident, number in due:
                if self._is_due(incident.escalations[number]):
                    self._fire(incident, number, kind="page")

    def _due(self) -> list[tuple[Incident, int]]:
        """Oldest first; of the same moment, in the order in which they were born."""
        rows = [(row, incident, number) for incident in self.incidents for number, row in incident.escalations.items()]
        due = sorted((row.due or 0, row.born, n) for n, (row, _, _) in enumerate(rows) if self._is_due(row))
        return [rows[n][1:] for _, _, n in due]

    def _is_due(self, row: Escalation) -> bool:
        return row.due is not None and row.due <= self.now

    # The rules.

    def _elsewhere(self, incident: Incident) -> bool:
        same = [i for i in self.incidents if i.alert == incident.alert and i is not incident]
        return incident.alert is not None and any(i.status != RESOLVED for i in same)

    def _mark_unmatched(self, incident: Incident) -> None:
        """An open incident that no escalation follows."""
        is_followed = any(self._has_begun(incident, number) for number in incident.escalations)
        if incident.status == OPEN and not is_followed:
            incident.is_unmatched_due = incident.is_unmatched_due or not incident.is_unmatched
            incident.is_unmatched = True

    def _look_at_unmatched(self, incident: Incident) -> None:
        """The admins are paged about what an alert opened, unless somebody was paged in this cycle."""
        is_known = any(cycle == incident.cycle for cycle, _, _ in incident.pages)
        if incident.is_unmatched_due and incident.alert is not None and not is_known:
            self._page(incident, [ADMINS], kind="page")
        incident.is_unmatched_due = False

    def _stop(self, incident: Incident) -> None:
        incident.is_unmatched_due = False
        for row in incident.escalations.values():
            row.stop()

    def _new_cycle(self, incident: Incident) -> None:
        incident.cycle += 1
        self._stop(incident)
        self._start_matching(incident)

    def _matching(self, incident: Incident) -> list[int]:
        return [n for n, p in enumerate(self.policies) if p.is_on and p.current.matches(incident)]

    def _start_matching(self, incident: Incident) -> None:
        incident.is_unmatched = False
        for number in self._matching(incident):
            self._start(incident, number, self.policies[number].current)
        self._mark_unmatched(incident)

    def _rematch(self, incident: Incident) -> None:
        for number, row in incident.escalations.items():
            if not self._goes_on(incident, number):
                row.state, row.due = ENDED, None
        if incident.status == OPEN:
            self._begin_matching(incident)
            self._mark_unmatched(incident)

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
                self._mark_unmatched(incident)

    def _start(self, incident: Incident, number: int, version: Version) -> None:
        before = incident.escalations.get(number)
        incident.is_unmatched = incident.is_unmatched_due = False
        loop = before.loop + 1 if before else 0
        due = self.now + version.stages[0][0]
        self.born += 1
        born = before.born if before else self.born
        incident.escalations[number] = Escalation(version, incident.cycle, loop, version.repeat, due, born)

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
        _, what = row.version.stages[row.step]
        incident.events.add((number, row.cycle, row.loop, row.step))
        row.fired.add(row.step)
        row.state = RUNNING
        if what in CHANGES:
            self._change_by_policy(incident, what, kind=kind)
            self._go_on(incident, row, kind=kind, is_in_vain=False)
            return
        whom = sorted(incident.assignees) if what == ASSIGNEES else [what]
        self._page(incident, whom, kind=kind)
        row.has_reached = row.has_reached or bool(whom)
        self._go_on(incident, row, kind=kind, is_in_vain=not whom)

    def _change_by_policy(self, incident: Incident, what: str, *, kind: str) -> None:
        """A policy that ends an open incident of whose cycle no page was accepted pages the admins as well."""
        if what in ("comment", incident.status) or incident.status == RESOLVED:
            return
        was_open = incident.status == OPEN
        self._settle(incident, what)
        if was_open and incident.cycle not in incident.accepted:
            self._page(incident, [ADMINS], kind=kind, is_exempt=True)

    def _go_on(self, incident: Incident, row: Escalation, *, kind: str, is_in_vain: bool) -> None:
        """The next stage that pages follows at once if this one was in vain; the others keep their time."""
        now = row.time_of(row.step)
        paging, changing = row.version.left(row.fired, pages=True), row.version.left(row.fired, pages=False)
        is_over = not paging and not changing
        is_hopeless = not row.has_reached and not row.is_last_resort_done and (is_over or (is_in_vain and not paging))
        if is_hopeless and row.state == RUNNING:
            self._page(incident, [ADMINS], kind=kind)
            row.is_last_resort_done = True
        if is_in_vain and paging:
            row.earlier = row.version.stages[paging[0]][0] - now
        if is_over:
            self._end_loop(row, last_delay=row.version.stages[-1][0])
            return
        is_ahead = row.earlier is not None
        row.step = min(
            paging[:1] + changing[:1], key=lambda stage: (row.time_of(stage), is_ahead and stage in changing, stage)
        )
        row.due = self.now + row.time_of(row.step) - now if row.state == RUNNING else None

    def _end_loop(self, row: Escalation, *, last_delay: int) -> None:
        if row.repeats_left == 0:
            row.state, row.due = FINISHED, None
            return
        row.loop, row.step, row.repeats_left = row.loop + 1, 0, row.repeats_left - 1
        row.has_reached, row.is_last_resort_done, row.earlier, row.fired = False, False, None, set()
        due = self.now + max(last_delay, LOOP_GAP_SECONDS) + row.version.stages[0][0]
        row.due = due if row.state == RUNNING else None

    def _page(self, incident: Incident, whom: list[str], *, kind: str, is_exempt: bool = False) -> None:
        """A page joins an unsent one of this cycle to the same person; one that somebody asked for does not."""
        for person in whom:
            if kind == "page" and not is_exempt and (incident.cycle, person) in incident.unsent:
                continue
            incident.pages[incident.cycle, kind, person] += 1
            incident.unsent.add((incident.cycle, person))


def _is_worse(one: str, other: str) -> bool:
    return RANKS.index(one) > RANKS.index(other)
