"""Places in lists by time, and their cursors."""

import re
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from app.core.security import MAX_ID
from app.crud.time_slice import CURSOR, OLDEST, Place

PLACES = st.builds(
    Place,
    st.datetimes(max_value=datetime(9000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    st.integers(0, MAX_ID),
)


@given(PLACES)
def test_a_cursor_leads_back_to_its_place(place: Place) -> None:
    assert re.fullmatch(CURSOR, place.cursor())
    assert Place.of_cursor(place.cursor()) == place


@given(PLACES, PLACES)
def test_cursors_have_the_order_of_places(one: Place, other: Place) -> None:
    assert (one < other) == (one.cursor() < other.cursor())


@given(st.from_regex(CURSOR, fullmatch=True))
def test_every_text_of_the_form_is_the_cursor_of_a_place(text: str) -> None:
    assert Place.of_cursor(text).cursor() == text.strip()


def test_the_oldest_place_has_a_cursor() -> None:
    assert Place.of_cursor(OLDEST.cursor()) == OLDEST
