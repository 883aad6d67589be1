"""What the operator reads when the service does not start: one sentence, before anything was done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.core.config import Settings
from app.core.errors import ConfigurationError
from app.core.vocabulary import Environment
from app.utils import startup

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
WHOLE = "must be a full URL with http:// or https:// and a host, such as https://pager.example.com"


@pytest.mark.parametrize("command", ["serve", "worker"])
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"PUBLIC_URL": "incidents.example.com"}, f"PUBLIC_URL {WHOLE}"),
        ({"DEAD_MAN_URL": "ftp://x"}, f"DEAD_MAN_URL {WHOLE}"),
        (
            {"TWILIO_ACCOUNT_SID": "AC1"},
            "SMS by Twilio is only partly set up: set TWILIO_AUTH_TOKEN and TWILIO_PHONE_NUMBER",
        ),
        ({"NTFY_URL": "ftp://x"}, "NTFY_URL: The URL must begin with http:// or https:// and name a host."),
        ({"WEBHOOK_TIMEOUT_SECONDS": "51"}, "WEBHOOK_TIMEOUT_SECONDS must be at most 50."),
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


PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "8f0c2f3d5e6a47b9918273645546372819abcdef0123456789abcdef01234567",
    "ELASTIC_WEBHOOK_TOKEN": "a webhook's token",
    "SMTP_HOST": "smtp.example",
    "PUBLIC_URL": "https://pager.example.com",
}
NO_PROXY = (
    "error: the service cannot start:\n  - TRUSTED_PROXIES is missing, so every request would be refused because it is "
    "not HTTPS: set it to the address of the proxy that speaks TLS, or set FORCE_HTTPS=false\n"
)


@pytest.mark.parametrize(("command", "is_refused"), [("serve", True), ("worker", False)])
def test_production_does_not_serve_until_its_proxy_is_named(
    tmp_path: Path, deaf_port: int, command: str, is_refused: bool
) -> None:
    """Else it would refuse every alert. A worker alone needs no proxy: it goes on to the database, which is away."""
    away = {"DATABASE_URL": f"postgresql://service@127.0.0.1:{deaf_port}/service", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-m", "app", command],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], **PRODUCTION, **away},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert (ended.stderr == NO_PROXY) is is_refused
    assert ("the database is not available" in ended.stderr) is not is_refused


@pytest.mark.parametrize(
    "url", ["db.example", "postgresql://u:hush@127.0.0.1:x/y", "sqlite:///x", "postgresql+asyncpg://a"]
)
def test_an_unusable_database_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="DATABASE_URL must look like postgresql://") as refusal:
        Settings(_env_file=None, database_url=SecretStr(url)).check()
    assert url not in str(refusal.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_an_address_of_postgresql_is_taken(scheme: str) -> None:
    Settings(_env_file=None, database_url=SecretStr(f"{scheme}://u:p@db.example/service?sslmode=require")).check()


@pytest.mark.parametrize(
    ("lease", "given", "cure"),
    [
        (11, {}, "set WORKER_LEASE_SECONDS to 12 or more, or lower SMTP_TIMEOUT_SECONDS"),
        (30, {"WEBHOOK": "27"}, "set WORKER_LEASE_SECONDS to 31 or more, or lower WEBHOOK_TIMEOUT_SECONDS"),
        (12, {"WEBHOOK": "10.5", "APPRISE": "50"}, None),
    ],
)
def test_a_start_says_when_a_call_could_outlast_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lease: int, given: dict[str, str], cure: str | None
) -> None:
    for name, seconds in given.items():
        monkeypatch.setenv(f"{name}_TIMEOUT_SECONDS", seconds)
    with capture_logs() as logs:
        startup.warn(Settings(_env_file=None, data_dir=tmp_path, worker_lease_seconds=lease))
    assert [line["cure"] for line in logs if line["event"] == "lease_is_short"] == ([cure] if cure else [])


@pytest.mark.parametrize(
    ("environment", "event"), [("production", "smtp_not_configured"), ("development", "mail_goes_to_files")]
)
def test_the_operator_is_told_where_mails_go_without_a_server(tmp_path: Path, environment: str, event: str) -> None:
    with capture_logs() as logs:
        startup.warn(Settings(_env_file=None, data_dir=tmp_path, environment=Environment(environment)))
    mail = ("smtp_not_configured", "mail_goes_to_files")
    assert [line["event"] for line in logs if line["event"] in mail] == [event]


@pytest.mark.parametrize(
    ("url", "is_told"),
    [
        ("postgresql://u:p@db.example/x", True),
        ("postgresql://u:p@db.example/x?sslmode=prefer", True),
        ("postgresql://u:p@10.0.0.7/x?sslmode=disable", True),
        ("postgresql://u:p@127.0.0.1/x?host=db.example", True),
        ("postgresql://u:p@/x?host=127.0.0.1:5432&host=db.example:5432", True),
        ("postgresql://u:p@db.example/x?sslmode=require", False),
        ("postgresql://u:p@db.example/x?sslmode=verify-full", False),
        ("postgresql://u:p@127.0.0.1/x", False),
        ("postgresql://u:p@[::1]:5432/x", False),
        ("postgresql://u:p@localhost/x?sslmode=disable", False),
        ("postgresql://u:p@/x?host=/var/run/postgresql", False),
        ("postgresql:///x", False),
    ],
)
@pytest.mark.parametrize("environment", [Environment.PRODUCTION, Environment.DEVELOPMENT])
def test_production_is_told_of_a_connection_to_its_database_in_plain_text(
    tmp_path: Path, environment: Environment, url: str, is_told: bool
) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, environment=environment, database_url=SecretStr(url))
    with capture_logs() as logs:
        startup.warn(settings)
    told = [line for line in logs if line["event"] == "database_connection_not_encrypted"]
    assert len(told) == (is_told and environment is Environment.PRODUCTION)
    assert "u:p" not in str(told)


def test_the_drivers_own_variable_encrypts_the_connection_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    url = SecretStr("postgresql://u:p@db.example/x")
    settings = Settings(_env_file=None, data_dir=tmp_path, environment=Environment.PRODUCTION, database_url=url)
    with capture_logs() as logs:
        startup.warn(settings)
    assert "database_connection_not_encrypted" not in {line["event"] for line in logs}
