"""Tells what went wrong from what the database and the provider have on record. Each function counts failures."""

from collections import Counter

from tests.faults.provider import Provider
from tests.faults.server import Store

# A page is reached if it, or the bundle that names it, was taken.
REACHED = """
    (n.status IN ('accepted', 'delivered') OR EXISTS (
        SELECT FROM notifications b WHERE b.id = n.bundle_id AND b.status IN ('accepted', 'delivered')))
"""
# It ended visibly, and somebody was reached instead.
FELL_BACK = """
    (n.status IN ('dead', 'cancelled') AND n.ended_at IS NOT NULL AND EXISTS (
        SELECT FROM notifications f WHERE f.fallback_of = n.id AND f.status IN ('accepted', 'delivered')))
"""
PAGES = "n.kind IN ('page', 'manual_page')"
UNANSWERED = "EXISTS (SELECT FROM incidents i WHERE i.id = n.incident_id AND i.status = 'open' AND i.cycle = n.cycle)"
# What is dead is finished once somebody has looked after it.
UNFINISHED = f"""
    SELECT count(*) FROM notifications n
    WHERE NOT {REACHED} AND (n.status NOT IN ('dead', 'cancelled') OR n.fallback_at IS NOT NULL)
"""
LOST = f"""
    SELECT count(*) FROM notifications n
    WHERE {PAGES} AND NOT {REACHED} AND NOT {FELL_BACK} AND ({UNANSWERED} OR n.ended_at IS NULL)
"""
MISSING_PAGES = """
    SELECT count(*) FROM escalation_events e
    WHERE NOT EXISTS (SELECT FROM notifications n WHERE n.event_id = e.id)
"""
REPEATED_EVENTS = """
    SELECT count(*) FROM (
        SELECT FROM escalation_events GROUP BY incident_id, policy_id, cycle, loop, step HAVING count(*) > 1) AS twice
"""
REPEATED_PAGES = """
    SELECT count(*) FROM (
        SELECT FROM notifications n WHERE n.incident_id IS NOT NULL
        GROUP BY event_id, recipient, channel HAVING count(*) > 1) AS twice
"""
EVENTS = "SELECT count(*) FROM escalation_events"
REACHED_PAGES = f"SELECT count(*) FROM notifications n WHERE {PAGES} AND {REACHED}"
DUE = "SELECT count(*) FROM escalations WHERE next_run_at IS NOT NULL"
TAKEN = """
    SELECT idempotency_key::text FROM notifications
    WHERE channel = 'webhook' AND status IN ('accepted', 'delivered')
"""


def lost(store: Store) -> int:
    """Pages of incidents that still need somebody, without acceptance or a visible end plus fallback."""
    return int(store.one(LOST))


def unfinished(store: Store) -> int:
    """Messages that are still on their way."""
    return int(store.one(UNFINISHED))


def missing_events(store: Store, expected: int) -> int:
    """How many steps of those that should have fired did not; negative if more did."""
    return expected - int(store.one(EVENTS))


def missing_pages(store: Store) -> int:
    """Steps that fired and paged nobody, where each was to page somebody."""
    return int(store.one(MISSING_PAGES))


def repeated(store: Store) -> int:
    """Events and pages that are there twice though their key says once."""
    return int(store.one(REPEATED_EVENTS)) + int(store.one(REPEATED_PAGES))


def duplicates(provider: Provider) -> Counter[str]:
    """How often each message was taken beyond the first time, of those that were."""
    return Counter({key: times - 1 for key, times in provider.keys().items() if times > 1})


def falsely_sent(store: Store, provider: Provider) -> int:
    """Messages that the database calls accepted and the provider never took."""
    taken = provider.keys()
    return sum(1 for row in store.rows(TAKEN) if row[0] not in taken)


def strangers(store: Store, provider: Provider) -> int:
    """Messages that the provider was sent and the database knows nothing of."""
    known = {row[0] for row in store.rows("SELECT idempotency_key::text FROM notifications")}
    return sum(1 for arrival in provider.arrivals if arrival.key not in known)
