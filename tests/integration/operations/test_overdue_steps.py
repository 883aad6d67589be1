"""An operator hears once that steps are late, and once that they no longer are."""

import pytest
from sqlalchemy.orm import Session

from app.services.operations import healing_service
from app.services.operations.health_service import Pulse
from tests.support.scenario import Opener, Tick
from tests.support.world import Clock

ALARM, ALL_CLEAR = ("ERROR", "escalations_overdue"), ("INFO", "escalations_on_time")


def events(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    said = [(record.levelname, str(record.msg)) for record in caplog.records]
    return [(level, name) for level, text in said for _, name in (ALARM, ALL_CLEAR) if name in text]


def test_late_steps_raise_one_alarm_before_they_fire_and_one_all_clear(
    caplog: pytest.LogCaptureFixture, clock: Clock, add_policy: Opener, open_incident: Opener, tick: Tick
) -> None:
    caplog.set_level("INFO")
    add_policy()
    open_incident()
    clock.advance(seconds=10)
    tick()
    assert events(caplog) == [ALARM]
    for _ in range(2):
        tick()
    assert events(caplog) == [ALARM, ALL_CLEAR]


def test_as_long_as_steps_stay_late_nothing_is_repeated(
    session: Session, caplog: pytest.LogCaptureFixture, clock: Clock, add_policy: Opener, open_incident: Opener
) -> None:
    caplog.set_level("INFO")
    pulse = Pulse()
    add_policy()
    open_incident()
    assert healing_service.tell_overdue(session, pulse) == 0
    session.commit()
    clock.advance(seconds=10)
    for _ in range(2):
        assert healing_service.tell_overdue(session, pulse) == 1
    assert events(caplog) == [ALARM]
