"""Reads from the outbox and the events of a cycle whom its steps paged and skipped, and the state of each page."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from app.core.channel import without_answer
from app.core.vocabulary import DeliveryStatus, EndReason, NotificationKind
from app.models import EscalationEvent, Notification
from app.services.contacts.address import masked
from app.services.contacts.directory_service import Directory
from app.services.explain.why import Skipped
from app.services.explain.why_reasons import Place, Sent
from app.services.notification import named_by

USER, ADDRESS = "user:", "email:"  # the prefixes of recipients' keys

Planned = Mapping[int, set[tuple[str, str]]]  # what each event planned: recipient and channel


def sent(
    rows: Sequence[Notification],
    events: Sequence[EscalationEvent],
    names: Mapping[str, str],
    *,
    is_unmatched: bool = False,
) -> list[tuple[str, Sent]]:
    """Each page with its recipient, oldest first. `names` are the recipients' names.

    `is_unmatched`: no policy matches the incident.
    """
    planned = {e.id: {(n["recipient"], n["channel"]) for n in e.metadata_.get("notified", ())} for e in events}
    pages = {row.id: row for row in sorted(rows, key=lambda row: row.id) if row.kind.is_page}
    found = [
        (row.recipient, _sent(row, pages.get(row.fallback_of or 0), planned, is_unmatched=is_unmatched))
        for row in pages.values()
    ]
    return [(key, replace(page, who=names.get(key) or named_by(key))) for key, page in found]


def recipients(pages: Sequence[Notification], events: Sequence[EscalationEvent]) -> set[str]:
    """The keys of the recipients of this cycle's pages, and of those whom its steps skipped."""
    skipped = {skip["recipient"] for event in events for skip in event.metadata_.get("skipped", ())}
    return {page.recipient for page in pages} | skipped


def user_ids(keys: Set[str]) -> dict[int, str]:
    """The key of each user among the recipients."""
    return {int(key.removeprefix(USER)): key for key in keys if key.startswith(USER)}


def names(directory: Directory, keys: Set[str]) -> dict[str, str]:
    """The names of users, and the masked addresses of others."""
    named = {key: directory.name_of(id_) for id_, key in user_ids(keys).items()}
    masks = {key: masked(key.removeprefix(ADDRESS)) for key in keys if key.startswith(ADDRESS)}
    return {key: name for key, name in named.items() if name is not None} | masks


def skipped(events: Sequence[EscalationEvent], policies: Mapping[int, str], names: Mapping[str, str]) -> list[Skipped]:
    """What the steps skipped. `policies` and `names` are the names of policies and of recipients."""
    return [
        Skipped(
            skip["recipient"],
            Place(event.policy_id, policies.get(event.policy_id, str(event.policy_id)), event.step),
            skip["channel"],
            skip["reason"],
            event.triggered_at,
            names.get(skip["recipient"]) or named_by(skip["recipient"]),
        )
        for event in events
        for skip in event.metadata_.get("skipped", ())
    ]


def _sent(row: Notification, before: Notification | None, planned: Planned, *, is_unmatched: bool) -> Sent:
    """A page that waits in a bundle has the bundle's state. `before` is the page that this one is the fallback for."""
    is_own = before is not None and before.recipient == row.recipient
    bundle = row.bundle if row.bundle_id else None
    carrier = bundle if bundle is not None and row.status is DeliveryStatus.PENDING else row
    return Sent(
        notification_id=row.id,
        channel=row.channel,
        status=carrier.status,
        is_held=row.is_throttled,
        is_bundled=row.bundle_id is not None,
        is_deferred=carrier.attempt == 0 and carrier.first_attempt_at is not None,
        attempts=carrier.attempt,
        error=None if _is_void(row) else without_answer(carrier.last_error),
        created_at=row.created_at,
        accepted_at=row.accepted_at,
        delivered_at=row.delivered_at,
        ended_at=row.ended_at,
        next_attempt_at=carrier.next_attempt_at,
        tried_before=before.channel if before is not None and is_own else None,
        is_unmatched=is_unmatched and row.event_id is None and row.kind is NotificationKind.PAGE,
        is_last_resort=not is_own and (before is not None or not _is_named(row, planned)),
    )


def _is_named(row: Notification, planned: Planned) -> bool:
    """True if a step named the recipient. Without the step's event, every page counts as named."""
    if row.event_id is None:
        return False
    return row.event_id not in planned or (row.recipient, row.channel) in planned[row.event_id]


def _is_void(row: Notification) -> bool:
    """True if a page was cancelled because the incident no longer needed it, not because of an error."""
    return row.status is DeliveryStatus.CANCELLED and row.end_reason is not EndReason.RECIPIENT_DEACTIVATED
