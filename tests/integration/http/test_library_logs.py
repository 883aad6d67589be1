"""What libraries log at DEBUG: never a URL, whose path may be a secret."""

import logging
from collections.abc import Iterator

import pytest

from app.core.config import Settings
from app.core.logging import configure_logging
from app.integrations import connections
from app.integrations.http import Limits, post
from tests.support.http_server import http_server
from tests.support.logs import captured

SECRET_PATH = "/services/T0/B0/xq7-confided"
LIBRARIES = ["urllib3.connectionpool", "requests", "httpx", "httpcore.http11", "twilio.http_client", "apprise"]


@pytest.fixture
def _at_debug(settings: Settings) -> Iterator[None]:
    before = logging.getLogger().level
    configure_logging(settings.model_copy(update={"log_level": "DEBUG"}))
    yield
    configure_logging(settings)
    logging.getLogger().setLevel(before)


@pytest.mark.usefixtures("_at_debug")
@pytest.mark.parametrize("name", LIBRARIES)
def test_no_library_logs_a_url_at_debug(name: str) -> None:
    with captured() as lines:
        for level in (logging.DEBUG, logging.INFO, logging.WARNING):
            logging.getLogger(name).log(level, "POST https://hooks.slack.com%s", SECRET_PATH)
        logging.getLogger("app.own").debug("what we say ourselves")
    assert "xq7-confided" not in lines.getvalue()
    assert "what we say ourselves" in lines.getvalue()


@pytest.mark.usefixtures("_at_debug")
def test_a_post_leaves_no_url_in_the_log() -> None:
    with http_server() as server, captured() as lines:
        post(f"{server.url}{SECRET_PATH}", json={}, limits=Limits(timeout_seconds=10, allows_private=True))
        assert [request.path for request in server.requests] == [SECRET_PATH]
    connections.pools().clear()
    assert "xq7-confided" not in lines.getvalue()
