"""Runs the worker's jobs in the test's own thread: what is submitted is done before anything else happens."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from threading import Event
from typing import Any

from app.models import Notification
from app.services.delivery import delivery_service, recording_service
from app.services.delivery.ports import Delivery
from app.utils.service_locator import Services
from app.worker import Jobs
from app.worker.batches import DEFAULT_LIMITS, PlanLimits
from app.worker.lane import Lane

WIDTH = 50


class InlineExecutor(Executor):
    """Does the work where it is submitted."""

    def __init__(self, _width: int, _name: str) -> None: ...

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it is raised by whoever asks for the result
            future.set_exception(error)
        return future


def inline_jobs(services: Services, delivery: Delivery | None = None, limits: PlanLimits = DEFAULT_LIMITS) -> Jobs:
    """The jobs of a worker, by default of these services' delivery."""
    return Jobs(delivery or services.delivery, services.paging, width=WIDTH, threads=InlineExecutor, limits=limits)


def inline_lane(channel: str | None, delivery: Delivery, **options: Any) -> Lane:
    """The lane of one channel."""
    return Lane(channel, delivery, Event(), width=WIDTH, threads=InlineExecutor, **options)


def send(delivery: Delivery, message: Notification) -> None:
    """Send one claimed message and record what came of it."""
    attempt = delivery_service.try_once(delivery, message)
    if attempt is not None:
        recording_service.record_all(delivery, [attempt])
