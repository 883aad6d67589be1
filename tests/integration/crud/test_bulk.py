"""Rows that travel as one JSON parameter arrive as they were."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.core.vocabulary import IncidentStatus, Severity
from app.crud import bulk
from app.models import Incident

AT = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=50)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))


def row(**fields: Any) -> dict[str, Any]:
    new = {"title": "t", "service": "s", "severity": Severity.LOW, "metadata_": {}, "created_at": AT, "updated_at": AT}
    return {**new, **fields}


def test_values_arrive_as_they_were(session: Session) -> None:
    bulk.insert_rows(session, Incident, [row(title="ünï 'quoted' \\ \"x\" :name %s", alert_count=3)])

    incident = session.scalars(select(Incident)).one()
    assert (incident.title, incident.alert_count) == ("ünï 'quoted' \\ \"x\" :name %s", 3)
    assert (incident.created_at, incident.severity) == (AT, Severity.LOW)


def test_what_a_row_leaves_out_has_its_default(session: Session) -> None:
    bulk.insert_rows(session, Incident, [row(description=None)])

    incident = session.scalars(select(Incident)).one()
    assert (incident.status, incident.cycle, incident.description) == (IncidentStatus.OPEN, 1, None)


def test_many_rows_keep_their_order(session: Session) -> None:
    bulk.insert_rows(session, Incident, [row(title=str(number)) for number in range(200)])

    titles = session.scalars(select(Incident.title).order_by(Incident.id)).all()
    assert titles == [str(number) for number in range(200)]


def test_no_rows_are_no_statement(session: Session) -> None:
    bulk.insert_rows(session, Incident, [])

    assert session.scalars(select(Incident)).all() == []


@pytest.mark.usefixtures("database")
def test_one_statement_is_made_for_the_same_columns() -> None:
    assert bulk.insert_of(Incident, ("title", "service")) is bulk.insert_of(Incident, ("title", "service"))


@given(metadata=st.dictionaries(TEXT, JSON, max_size=4), title=TEXT.filter(bool))
def test_any_json_and_text_arrives_as_it_was(metadata: dict[str, Any], title: str) -> None:
    [written] = json.loads(bulk.as_json([row(metadata_=metadata, title=title)]))

    assert written["metadata_"] == metadata
    assert written["title"] == title
