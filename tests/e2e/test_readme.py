"""The README's lines for a first page, run as they stand there, against a stand-in for ntfy."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from tests.e2e.conftest import ROOT, LiveServer
from tests.support.http_server import HttpServer, http_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

README = (ROOT / "README.md").read_text()
SECTION = README.partition("## Page your own phone in a minute\n")[2].partition("\n## ")[0]
PORT = "127.0.0.1:8000"


@pytest.fixture
def ntfy() -> Iterator[HttpServer]:
    with http_server() as server:
        yield server


@pytest.fixture
def server_settings(ntfy: HttpServer) -> dict[str, str]:
    return {"NTFY_URL": ntfy.url}


def test_the_lines_for_a_first_page_ring_the_phone(live_server: LiveServer, ntfy: HttpServer) -> None:
    topic, start, rest = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)
    assert start == "NTFY_URL=https://ntfy.sh make run\n"
    lines = (topic + rest).replace(PORT, live_server.url.removeprefix("http://"))
    lines = lines.replace(".venv/bin/python", sys.executable)
    shell = ["bash", "-eu", "-c", lines]
    done = subprocess.run(shell, cwd=ROOT, env=live_server.env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: bool(ntfy.requests), seconds=60)
    message = ntfy.requests[0].json()
    [subscribed] = re.findall(r"^Subscribe to: (.+)$", done.stdout, re.MULTILINE)
    assert (message["topic"], message["priority"]) == (subscribed, 5)
    assert "Your phone rings" in message["title"]
    page = message["click"].replace(f"http://{PORT}", live_server.url)
    assert "It works." in requests.get(page, timeout=60).text
