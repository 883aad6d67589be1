"""Whether the service behind the dead-man's URL takes the pings is counted."""

import pytest

from app.integrations import dead_man
from tests.support.http_server import Answer, http_server
from tests.support.metrics import counting


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(Answer(200), "answered"), (Answer(404), "failed"), (Answer(fault="reset"), "failed")],
    ids=str,
)
def test_a_ping_is_counted_by_its_outcome(answer: Answer, outcome: str) -> None:
    with http_server([answer]) as server, counting("ims_dead_man_pings_total") as change:
        dead_man.ping(server.url)
    assert change == {f'ims_dead_man_pings_total{{outcome="{outcome}"}}': 1}
