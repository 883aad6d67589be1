"""What the operator reads when the service does not start: one sentence, before anything was done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.core.config import Settings
from app.core.vocabulary import Environment
from app.utils import startup

ROOT = Path(__file__).parents[2]
WHOLE = "must be a whole URL with http:// or https:// and a host, such as https://pager.example.com"


@pytest.mark.parametrize("command", ["serve", "worker"])
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"PUBLIC_URL": "incidents.example.com"}, f"PUBLIC_URL {WHOLE}"),
        ({"DEAD_MAN_URL": "ftp://x"}, f"DEAD_MAN_URL {WHOLE}"),
        (
            {"TWILIO_ACCOUNT_SID": "AC1"},
            "SMS by Twilio is set up in part: TWILIO_AUTH_TOKEN and TWILIO_PHONE_NUMBER missing",
        ),
        ({"NTFY_URL": "ftp://x"}, "NTFY_URL: The URL must begin with http:// or https:// and name a host."),
        ({"WEBHOOK_TIMEOUT_SECONDS": "51"}, "WEBHOOK_TIMEOUT_SECONDS Input should be less than or equal to 50"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_bad_setting_is_told_in_one_line_and_nothing_was_done(
    tmp_path: Path, deaf_port: int, command: str, given: dict[str, str], told: str
) -> None:
    """The database is not there: whoever asked for it first would say so."""
    base = {"DATABASE_URL": f"postgresql://service@127.0.0.1:{deaf_port}/service", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-m", "app", command],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], **base, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"error: {told}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environment", "event"), [("production", "mail_is_off"), ("development", "mail_goes_to_files")]
)
def test_the_operator_is_told_where_mails_go_without_a_server(environment: str, event: str) -> None:
    with capture_logs() as logs:
        startup.warn(Settings(_env_file=None, environment=Environment(environment)))
    assert [line["event"] for line in logs if line["event"].startswith("mail_")] == [event]
