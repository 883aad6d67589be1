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


def test_late_steps_raise_one_alarm_and_one_all_clear(
    session: Session,
    caplog: pytest.LogCaptureFixture,
    clock: Clock,
    add_policy: Opener,
    open_incident: Opener,
    tick: Tick,
) -> None:
    caplog.set_level("INFO")
    pulse = Pulse()
    add_policy()
    open_incident()
    healing_service.heal(session, pulse)
    assert events(caplog) == []
    clock.advance(seconds=10)
    for _ in range(2):
        healing_service.heal(session, pulse)
    assert events(caplog) == [ALARM]
    session.commit()
    tick()
    for _ in range(2):
        healing_service.heal(session, pulse)
    assert events(caplog) == [ALARM, ALL_CLEAR]
