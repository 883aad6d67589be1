"""A job that is woken while it runs is run once more."""

import pytest

from app.utils.service_locator import Services
from app.worker import Jobs
from app.worker.listener import Listener
from app.worker.scheduler import Worker


class Outside:
    """Who is pinged. It wakes the job that pings, as often as it is told to, in the middle of the ping."""

    def __init__(self, wakes: int) -> None:
        self.pings, self.wakes_left = 0, wakes
        self.worker: Worker | None = None

    def ping(self) -> None:
        self.pings += 1
        if self.worker is not None and self.wakes_left > 0:
            self.wakes_left -= 1
            self.worker.wake("dead_man")


@pytest.mark.parametrize("wakes", [0, 1, 3])
def test_a_wake_up_during_a_run_brings_another_run(services: Services, wakes: int) -> None:
    outside = Outside(wakes)
    jobs = Jobs(services.delivery, services.paging, width=0)
    worker = outside.worker = Worker(jobs, Listener(services.database), ping=outside.ping)
    for job in ("beat", "plan", "dead_man"):
        worker._run(job)
    assert outside.pings == wakes + 1
