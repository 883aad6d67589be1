"""What an operator sets, where it is read from, and what the service refuses to start with."""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from app.core.config import SECRET_FILE, SECTIONS, Settings, get_settings
from app.core.errors import ConfigurationError
from app.core.settings.network import FORMER_NAME
from app.utils import startup
from app.utils.service_locator import channel_settings, require_a_channel
from tests.support.scenario import race

ROOT = Path(__file__).parents[3]
GOOD_KEY = "8f0c2f3d5e6a47b9918273645546372819abcdef0123456789abcdef01234567"
PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": GOOD_KEY,
    "DATABASE_URL": "postgresql://service@db.example/service",
    "ELASTIC_WEBHOOK_TOKEN": "a webhook's token",
    "SMTP_HOST": "smtp.example",
    "PUBLIC_URL": "https://pager.example.com",
    "TRUSTED_PROXIES": "10.0.0.5",
}
# Production starts without them, or names them in another sentence.
NOT_MISSED = {"ENVIRONMENT", "SMTP_HOST", "TRUSTED_PROXIES"}
NAMES = [name.upper() for name in Settings.model_fields]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No setting of whoever runs the tests, and no .env."""
    for name in (*NAMES, FORMER_NAME):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def with_environment(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return Settings()


def refusal(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> str:
    """Why the service does not start."""
    with pytest.raises(ConfigurationError) as caught:
        with_environment(monkeypatch, variables).check()
    return str(caught.value)


def test_without_settings_it_starts_for_development_on_this_machine(tmp_path: Path) -> None:
    settings = Settings()
    settings.check()
    assert (settings.environment, settings.host, settings.port) == ("development", "127.0.0.1", 8000)
    assert (settings.access_token_expire_minutes, settings.refresh_token_expire_days) == (60, 14)
    assert (settings.algorithm, settings.webhook_default_severity) == ("HS256", "high")
    assert (settings.open_signup, settings.migrate_on_start, settings.rate_limit_enabled) == (True, True, False)
    assert settings.backend_cors_origins == []
    assert settings.public_url == "http://127.0.0.1:8000"
    assert list(tmp_path.iterdir()) == []  # looking at settings makes nothing


def test_production_closes_what_development_leaves_open(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_environment(monkeypatch, PRODUCTION)
    settings.check()
    assert (settings.open_signup, settings.migrate_on_start, settings.rate_limit_enabled) == (False, False, True)


@pytest.mark.parametrize("name", ["OPEN_SIGNUP", "MIGRATE_ON_START", "RATE_LIMIT_ENABLED"])
@pytest.mark.parametrize("value", ["true", "false"])
@pytest.mark.parametrize("environment", [{}, PRODUCTION], ids=["development", "production"])
def test_what_the_operator_says_beats_the_default_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], name: str, value: str
) -> None:
    settings = with_environment(monkeypatch, {**environment, name: value})
    assert getattr(settings, name.lower()) is (value == "true")


@pytest.mark.parametrize("missing", ["SECRET_KEY", "DATABASE_URL", "ELASTIC_WEBHOOK_TOKEN", "PUBLIC_URL"])
@pytest.mark.parametrize("empty", [False, True], ids=["absent", "empty"])
def test_production_names_the_setting_that_it_misses(
    monkeypatch: pytest.MonkeyPatch, missing: str, empty: bool
) -> None:
    given = {name: value for name, value in PRODUCTION.items() if name != missing}
    told = refusal(monkeypatch, {**given, missing: ""} if empty else given)
    assert f"{missing} is missing" in told
    assert len(told.splitlines()) == 2


def test_production_names_every_setting_that_it_misses_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(monkeypatch, {"ENVIRONMENT": "production"})
    assert all(f"{name} is missing" in told for name in PRODUCTION if name not in NOT_MISSED)


def test_production_without_a_channel_that_can_page_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_environment(monkeypatch, {**PRODUCTION, "SMTP_HOST": ""})
    with pytest.raises(ConfigurationError, match="no channel can page anybody: set SMTP_HOST"):
        require_a_channel(settings)


def test_every_section_is_checked() -> None:
    assert Settings.__bases__ == SECTIONS


@pytest.mark.parametrize("environment", [{}, PRODUCTION], ids=["development", "production"])
@pytest.mark.parametrize("key", ["qwertz", "9" * 64, "changeme" * 8, GOOD_KEY[:31], "password " * 10])
def test_a_weak_key_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], key: str
) -> None:
    told = refusal(monkeypatch, {**environment, "SECRET_KEY": key})
    assert "SECRET_KEY is " in told
    assert key not in told


@pytest.mark.parametrize("key", [GOOD_KEY, "0123456789abcdef" * 2, "ü0123456789abcdef0123456789abcd"])
def test_a_key_of_32_bytes_of_some_variety_is_taken(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    settings = with_environment(monkeypatch, {"SECRET_KEY": key})
    settings.check()
    assert settings.signing_keys() == (key,)


@pytest.mark.parametrize(
    "key",
    ["0123456789" * 4, "a1b2c3d4e5f6" * 4, "abcdefghijklmnopqrstuvwxyz0123456789", "zyxwvutsrqponmlkjihgfedcba987654"],
)
def test_production_refuses_a_key_that_repeats_itself_or_counts(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    told = refusal(monkeypatch, {**PRODUCTION, "SECRET_KEY": key})
    assert "SECRET_KEY repeats itself or counts" in told
    assert key not in told


def test_production_takes_every_key_that_is_made_at_random(monkeypatch: pytest.MonkeyPatch) -> None:
    for length in range(16, 64):
        for make in (secrets.token_hex, secrets.token_urlsafe):
            key = make(max(length, 32))
            with_environment(monkeypatch, {**PRODUCTION, "SECRET_KEY": key}).check()


def test_production_refuses_a_webhook_token_under_16_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(monkeypatch, {**PRODUCTION, "ELASTIC_WEBHOOK_TOKEN": "fifteen-letters"})
    assert "ELASTIC_WEBHOOK_TOKEN is shorter than 16 characters" in told
    assert "fifteen-letters" not in told
    with_environment(monkeypatch, {**PRODUCTION, "ELASTIC_WEBHOOK_TOKEN": "sixteen--letters"}).check()
    with_environment(monkeypatch, {"ENVIRONMENT": "development", "ELASTIC_WEBHOOK_TOKEN": "short"}).check()


@pytest.mark.parametrize("name", ["FIRST_SUPERUSER", "FIRST_SUPERUSER_PASSWORD"])
def test_half_an_administrator_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    told = refusal(monkeypatch, {name: "admin@example.com"})
    assert "FIRST_SUPERUSER and FIRST_SUPERUSER_PASSWORD go together" in told


def test_an_administrator_with_a_short_password_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(monkeypatch, {"FIRST_SUPERUSER": "admin@example.com", "FIRST_SUPERUSER_PASSWORD": "hunter2"})
    assert "FIRST_SUPERUSER_PASSWORD is shorter than 8 characters" in told
    assert "hunter2" not in told


def test_an_administrator_with_a_common_password_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(monkeypatch, {"FIRST_SUPERUSER": "admin@example.com", "FIRST_SUPERUSER_PASSWORD": "P@ssw0rd"})
    assert "FIRST_SUPERUSER_PASSWORD is one of the passwords that everybody guesses" in told
    assert "P@ssw0rd" not in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "65536"),
        ("ENVIRONMENT", "staging"),
        ("ALGORITHM", "none"),
        ("ALGORITHM", "RS256"),
        ("BCRYPT_ROUNDS", "3"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "0"),
        ("SMTP_TLS", "maybe"),
        ("WEB_CONCURRENCY", "0"),
        ("WEBHOOK_DEFAULT_SEVERITY", "urgent"),
        ("WORKER_ENABLED", "perhaps"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_value_that_means_nothing_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        with_environment(monkeypatch, {name: value})
    assert [error["loc"] for error in caught.value.errors()] == [(name.lower(),)]


@pytest.mark.parametrize("name", ["PUBLIC_URL", "DEAD_MAN_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "incidents.example.com", "nope", "//x", "ftp://x", "http://", "http://:80", "http://x:99999", "http://[::1",
        "http://x/ y", " http://x", "http://x/\ty", "hc.example/secret", "https://hc.example/secret secret",
    ],
)  # fmt: skip
def test_what_is_no_whole_url_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        with_environment(monkeypatch, {name: url})
    [error] = caught.value.errors()
    assert error["loc"] == (name.lower(),)
    assert "secret" not in error["msg"]


@pytest.mark.parametrize("url", ["https://pager.example.com", "http://[::1]:8000/in", "HTTPS://pager/", "http://ü.de"])
def test_a_whole_url_stays_as_it_is_given(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    settings = with_environment(monkeypatch, {"PUBLIC_URL": url, "DEAD_MAN_URL": url})
    assert (settings.public_url, settings.dead_man_url) == (url, url)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert with_environment(monkeypatch, {name: ""}) == Settings(_env_file=None)


def test_the_file_is_read_and_the_environment_beats_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=9001\nHOST=0.0.0.0\nSMTP_USER=\nNOT_OURS=1\n# LOG_LEVEL=DEBUG\n")
    settings = with_environment(monkeypatch, {"HOST": "127.0.0.2"})
    assert (settings.port, settings.host, settings.smtp_user) == (9001, "127.0.0.2", None)
    assert settings.log_level == "INFO"


def every_setting() -> set[str]:
    """The variables of the service and of its channels."""
    own = {field.upper() for settings in channel_settings().values() for field in type(settings).model_fields}
    return {*NAMES, *own}


def test_the_example_file_lists_every_setting_with_its_default() -> None:
    example = ROOT / ".env.example"
    lines = [line for line in example.read_text().splitlines() if line and not line.startswith("#")]
    assert sorted(line.partition("=")[0] for line in lines) == sorted(every_setting())
    assert Settings(_env_file=example) == Settings(_env_file=None)


def test_compose_hands_every_setting_to_the_service() -> None:
    """A name without a value takes that of the shell or of .env."""
    _, _, service = (ROOT / "docker-compose.yml").read_text().partition("\n  service:\n")
    handed = dict(re.findall(r"^      ([A-Z_]+):(.*)$", service, re.MULTILINE))
    fixed = {"HOST", "PORT", "DATA_DIR", "DATABASE_URL"}
    assert handed.keys() - {"PGPASSWORD"} == every_setting()
    for name in every_setting() - fixed:
        assert handed[name] == "" or handed[name].startswith(f" ${{{name}:-"), name


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("https://a.example", ["https://a.example"]),
        ("https://a.example/, https://b.example,", ["https://a.example", "https://b.example"]),
        ('["https://a.example", "https://b.example/"]', ["https://a.example", "https://b.example"]),
    ],
)
def test_origins_are_listed_with_commas_or_as_json(
    monkeypatch: pytest.MonkeyPatch, text: str, origins: list[str]
) -> None:
    assert with_environment(monkeypatch, {"BACKEND_CORS_ORIGINS": text}).backend_cors_origins == origins


@pytest.mark.parametrize("level", ["debug", "Warning", "ERROR"])
def test_the_log_level_may_be_written_in_any_case(monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    assert with_environment(monkeypatch, {"LOG_LEVEL": level}).log_level == level.upper()


SECRETS = {
    "SECRET_KEY": GOOD_KEY,
    "SMTP_PASSWORD": "the mail's password",
    "FIRST_SUPERUSER_PASSWORD": "the admin's password",
    "ELASTIC_WEBHOOK_TOKEN": "the webhook's token",
    "TWILIO_AUTH_TOKEN": "the provider's token",
    "DATABASE_URL": "postgresql://service:the-database's-password@db.example/service",
}


@pytest.mark.parametrize("show", [repr, str, lambda settings: settings.model_dump_json()], ids=["repr", "str", "json"])
def test_settings_that_are_shown_show_no_secret(monkeypatch: pytest.MonkeyPatch, show: Any) -> None:
    shown = show(with_environment(monkeypatch, SECRETS))
    assert [name for name, secret in SECRETS.items() if secret in shown] == []


def test_a_key_is_made_once_for_the_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)  # the most careless of all
    try:
        keys = {Settings(data_dir=tmp_path / "data").signing_keys()[0] for _ in range(3)}
    finally:
        os.umask(before)
    [file] = (tmp_path / "data").iterdir()
    assert file.name == SECRET_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert keys == {file.read_text()}
    assert min(map(len, keys)) >= 64


def test_processes_that_start_at_once_make_one_key(tmp_path: Path) -> None:
    keys = race(lambda: hash(Settings(data_dir=tmp_path / "data").signing_keys()), times=16)
    assert len(set(keys)) == 1
    assert [file.name for file in (tmp_path / "data").iterdir()] == [SECRET_FILE]


def test_a_key_that_is_set_is_used_and_none_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = with_environment(monkeypatch, {"SECRET_KEY": GOOD_KEY, "DATA_DIR": str(tmp_path / "data")})
    assert settings.signing_keys() == (GOOD_KEY,)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("content", ["", "\n", "short", "a" * 64])
def test_a_key_file_that_was_damaged_is_refused_rather_than_signed_with(tmp_path: Path, content: str) -> None:
    (tmp_path / SECRET_FILE).write_text(content)
    with pytest.raises(ConfigurationError, match=SECRET_FILE):
        Settings(data_dir=tmp_path).signing_keys()


def test_the_service_reads_its_settings_once_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "9002")
    first = get_settings()
    monkeypatch.setenv("PORT", "9003")
    assert get_settings() is first
    get_settings.cache_clear()
    monkeypatch.setenv("SECRET_KEY", "weak")
    with pytest.raises(ConfigurationError):
        get_settings()


@pytest.mark.parametrize(("token", "is_said"), [("", True), ("a token for the metrics", False)])
def test_production_is_told_that_its_metrics_are_closed(
    monkeypatch: pytest.MonkeyPatch, token: str, is_said: bool
) -> None:
    settings = with_environment(monkeypatch, PRODUCTION | {"METRICS_TOKEN": token})
    settings.check()  # it starts nevertheless
    with capture_logs() as logs:
        startup.warn(settings)
    assert ("metrics_are_closed" in {line["event"] for line in logs}) is is_said


@pytest.mark.parametrize(
    ("url", "is_said"),
    [
        (None, True),
        ("http://127.0.0.1:8000", True),
        ("http://0.0.0.0", True),
        ("https://[::1]", True),
        ("http://localhost", True),
        ("https://pager.example.com", False),
    ],
)
def test_production_is_told_that_the_links_in_its_pages_lead_nowhere(
    monkeypatch: pytest.MonkeyPatch, url: str | None, is_said: bool
) -> None:
    settings = with_environment(monkeypatch, {**PRODUCTION, "PUBLIC_URL": url or ""})
    with capture_logs() as logs:
        startup.warn(settings)
    assert ("links_lead_to_this_machine" in {line["event"] for line in logs}) is is_said
