"""Incidents: which there are, whose locks are free, and inserting many at once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from dataclasses import fields as dataclass_fields
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Integer, Row, Select, any_, bindparam, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, joinedload, selectinload

from app.core.vocabulary import EscalationState, IncidentStatus, Severity
from app.crud.base import CRUDBase
from app.crud.pagination import Page, Slice, columns_of, sliced
from app.models import Escalation, EscalationPolicyVersion, Incident

SEARCHED = (Incident.title, Incident.description, Incident.service)
WORD = "word_"
WINDOWS = 50  # of ids that are tried for one that is not locked
UNRESOLVED = Incident.status != IncidentStatus.RESOLVED


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """What to list. Values of one field are alternatives, fields must all hold."""

    status: Sequence[IncidentStatus] = ()
    severity: Sequence[Severity] = ()
    service: Sequence[str] = ()
    source: Sequence[str] = ()
    assigned_to: Sequence[int] = ()
    created_by: Sequence[int] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None
    is_unmatched: bool | None = None
    words: Sequence[str] = field(default=())

    def given(self) -> dict[str, Any]:
        """The fields that narrow the list, as parameters of the statement; each word is one."""
        fields = {one.name: getattr(self, one.name) for one in dataclass_fields(self) if one.name != "words"}
        given = {name: value for name, value in fields.items() if value not in ((), [], None)}
        return given | {f"{WORD}{place}": _pattern(word) for place, word in enumerate(self.words)}


def _pattern(word: str) -> str:
    """What ILIKE needs to find a word anywhere in a text."""
    escaped = word.replace("/", "//").replace("%", "/%").replace("_", "/_")
    return f"%{escaped}%"


def _condition(name: str) -> ColumnElement[bool]:
    """What a parameter of `IncidentFilter.given` demands."""
    value: Any = bindparam(name)
    if name.startswith(WORD):
        return or_(*(column.ilike(value, escape="/") for column in SEARCHED))
    special: dict[str, ColumnElement[bool]] = {
        "created_after": Incident.created_at >= value,
        "created_before": Incident.created_at < value,
        "is_unmatched": Incident.is_unmatched == value,
    }
    if name in special:
        return special[name]
    column: InstrumentedAttribute[Any] = getattr(Incident, name)
    return column.in_(bindparam(name, expanding=True))


@lru_cache(maxsize=256)
def _listing(names: tuple[str, ...]) -> Select[Any]:
    """The statement for lists with these parameters."""
    query, wide = _as_rows().where(*map(_condition, names)), (*SEARCHED, Incident.alert_id, Incident.metadata_)
    return sliced(query, Incident.id, *wide, newest_first=True)


def _as_rows() -> Select[Any]:
    """Incidents as rows, with when their next step is due."""
    due = select(func.min(Escalation.next_run_at)).where(Escalation.incident_id == Incident.id)
    return select(*columns_of(Incident), due.correlate(Incident).scalar_subquery().label("next_escalation_at"))


@cache
def _rows_by_ids() -> Select[Any]:
    return _as_rows().where(_is_given())


@cache
def _by_ids() -> Select[Incident]:
    return _with_escalations(select(Incident).where(_is_given()))


def _is_given() -> ColumnElement[bool]:
    return Incident.id == any_(bindparam("ids", type_=ARRAY(Integer)))


def _with_escalations(query: Select[Incident]) -> Select[Incident]:
    return query.options(selectinload(Incident.escalations))


class CRUDIncident(CRUDBase[Incident]):
    """Every incident comes with its escalations: they say when the next step is due."""

    def get(self, session: Session, id_: int) -> Incident | None:
        return session.scalars(_by_ids(), {"ids": [id_]}).one_or_none()

    def get_for_update(self, session: Session, id_: int) -> Incident | None:
        """Lock the incident, which everyone locks first, and read it anew with its escalations and their steps."""
        steps = joinedload(Escalation.version).joinedload(EscalationPolicyVersion.policy)
        query = select(Incident).where(Incident.id == id_).options(selectinload(Incident.escalations).options(steps))
        return session.scalar(query.with_for_update(key_share=True).execution_options(populate_existing=True))

    def lock_free(self, session: Session, wanted: Select[Any], *, limit: int) -> dict[int, Incident]:
        """Lock those of the first wanted ids whose incidents nobody has locked, and read them anew.

        Where all are locked, it looks at the next ones: a lock that lasts keeps no other incident waiting.
        """
        for window in range(WINDOWS):
            ids = session.scalars(wanted.offset(window * limit).limit(limit)).all()
            free = self.lock_available(session, set(ids))
            if free or len(ids) < limit:
                return free
        return {}

    def lock_available(self, session: Session, ids: Collection[int]) -> dict[int, Incident]:
        """Lock those of the incidents that nobody has locked, and read them anew."""
        locked = session.scalars(
            _with_escalations(select(Incident).where(Incident.id.in_(ids)))
            .order_by(Incident.id)
            .with_for_update(key_share=True, skip_locked=True)
            .execution_options(populate_existing=True)
        )
        return {incident.id: incident for incident in locked}

    def existing(self, session: Session, ids: Collection[int]) -> set[int]:
        """Those of the ids that are incidents, locked or not."""
        return set(session.scalars(select(Incident.id).where(Incident.id.in_(ids)))) if ids else set()

    def by_ids(self, session: Session, ids: Collection[int]) -> dict[int, Incident]:
        """Incidents alone, by their ids."""
        found = session.scalars(select(Incident).where(Incident.id.in_(ids)))
        return {incident.id: incident for incident in found}

    def slice(self, session: Session, wanted: IncidentFilter, part: Slice) -> Page[Row[Any]]:
        """Incidents, newest first. The rows have the attributes of incidents, and `next_escalation_at`."""
        given = wanted.given()
        return part.read(session, _listing(tuple(given)), **given)

    def rows(self, session: Session, ids: Collection[int]) -> dict[int, Row[Any]]:
        """Incidents by their ids, as `slice` has them."""
        return {row.id: row for row in session.execute(_rows_by_ids(), {"ids": list(ids)})}

    def lock_each(self, session: Session, ids: Collection[int]) -> dict[int, Incident]:
        """Incidents by their ids, locked in order of their ids."""
        if not ids:
            return {}
        query = (
            _with_escalations(select(Incident).where(Incident.id.in_(ids)))
            .order_by(Incident.id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        return {incident.id: incident for incident in session.scalars(query)}

    def lock_unresolved(self, session: Session, source: str, keys: Sequence[str]) -> dict[str, Incident]:
        """The unresolved incident of each alert key that has one, locked in order of their ids."""
        if not keys:
            return {}
        query = (
            select(Incident)
            .where(Incident.source == source, Incident.alert_id.in_(keys), UNRESOLVED)
            .order_by(Incident.id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        return {incident.alert_id or "": incident for incident in session.scalars(_with_escalations(query))}

    def claim_snooze_ended(self, session: Session, *, at: datetime, limit: int) -> Sequence[Incident]:
        query = (
            select(Incident)
            .where(Incident.status == IncidentStatus.SNOOZED, Incident.snoozed_until <= at)
            .order_by(Incident.snoozed_until)
            .limit(limit)
            .with_for_update(key_share=True, skip_locked=True)
        )
        return session.scalars(_with_escalations(query)).all()

    def open_after(self, session: Session, after: int, *, limit: int) -> Sequence[int]:
        """The ids of the open incidents that follow an id."""
        query = select(Incident.id).where(Incident.status == IncidentStatus.OPEN, Incident.id > after)
        return session.scalars(query.order_by(Incident.id).limit(limit)).all()

    def escalated_by_after(self, session: Session, policy_id: int, after: int, *, limit: int) -> Sequence[int]:
        """The ids of the unresolved incidents that a policy escalates or has escalated and that follow an id."""
        escalated = select(Escalation.incident_id).where(
            Escalation.policy_id == policy_id, Escalation.state != EscalationState.ENDED
        )
        query = select(Incident.id).where(Incident.id.in_(escalated), Incident.id > after, UNRESOLVED)
        return session.scalars(query.order_by(Incident.id).limit(limit)).all()


crud_incident = CRUDIncident(Incident)
