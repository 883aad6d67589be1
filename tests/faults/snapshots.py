"""What the model and the service each say of the same world, in one form, so that they can be compared."""

from typing import Any

from sqlalchemy import Connection, text

from tests.faults.model import RUNNING, Model

Snapshot = dict[tuple[Any, ...], Any]

SECONDS = "CAST(round(extract(epoch FROM {} - now())) AS int)"
INCIDENTS = text(f"""
    SELECT id, status, cycle, severity, service, alert_count, {SECONDS.format("snoozed_until")} AS snoozed_until,
        is_unmatched, unmatched_due_at IS NOT NULL AS is_unmatched_due
    FROM incidents WHERE id = ANY(:ids)
""")
ESCALATIONS = text(f"""
    SELECT incident_id, policy_id, state, cycle, loop, step, repeats_left, {SECONDS.format("next_run_at")} AS due
    FROM escalations
""")
EVENTS = text("SELECT incident_id, policy_id, cycle, loop, step FROM escalation_events")
PAGES = text("""
    SELECT incident_id, cycle, kind, recipient, count(*) AS number
    FROM notifications GROUP BY incident_id, cycle, kind, recipient
""")


def of_model(model: Model) -> Snapshot:
    found: Snapshot = {}
    for i, one in enumerate(model.incidents):
        found["incident", i] = (
            one.status,
            one.cycle,
            one.severity,
            one.service,
            one.alert_count,
            one.snoozed_until,
            one.is_unmatched,
            one.is_unmatched_due,
        )
        for p, row in one.escalations.items():
            place = (row.step, row.repeats_left) if row.state == RUNNING else None
            found["escalation", i, p] = (row.state, row.cycle, row.loop, place, row.due)
        found |= {("event", i, *event): True for event in one.events}
        found |= {("pages", i, *page): number for page, number in one.pages.items()}
    return found


def of_service(
    connection: Connection, incident_ids: list[int], policy_ids: list[int], people: dict[str, int]
) -> Snapshot:
    """The transaction's beginning is second 0. Names stand for people, and places in the lists for ids."""
    incident = {id_: number for number, id_ in enumerate(incident_ids)}
    policy = {id_: number for number, id_ in enumerate(policy_ids)}
    person = {f"user:{id_}": name for name, id_ in people.items()}
    found: Snapshot = {}
    for row in connection.execute(INCIDENTS, {"ids": incident_ids}):
        found["incident", incident[row.id]] = tuple(row)[1:]
    for row in connection.execute(ESCALATIONS):
        place = (row.step, row.repeats_left) if row.state == RUNNING else None
        found["escalation", incident[row.incident_id], policy[row.policy_id]] = (
            row.state,
            row.cycle,
            row.loop,
            place,
            row.due,
        )
    for row in connection.execute(EVENTS):
        found["event", incident[row.incident_id], policy[row.policy_id], row.cycle, row.loop, row.step] = True
    for row in connection.execute(PAGES):
        found["pages", incident[row.incident_id], row.cycle, row.kind, person[row.recipient]] = row.number
    return found
