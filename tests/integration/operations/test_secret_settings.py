"""Secrets that an operator sets: several in one setting, or in a file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.config import ChannelSettings, Settings
from app.core.errors import ConfigurationError
from app.core.settings.secret_files import secrets_of
from app.core.source import SOURCES
from app.utils.service_locator import channel_settings

ROOT = Path(__file__).parents[3]
GOOD, OTHER = "8f0c2f3d5e6a47b9918273645546372819abcdef", "fedcba91827364554637281999b74a6e5d3f2c0f8"
WEAK, REPEATED = "qwertz", "a1b2c3d4e5f6" * 4
PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": GOOD,
    "DATABASE_URL": "postgresql://service@db.example/service",
    "ELASTIC_WEBHOOK_TOKEN": "a webhook's token",
    "SMTP_HOST": "smtp.example",
    "PUBLIC_URL": "https://pager.example.com",
}
KINDS: list[type[Settings | ChannelSettings]] = [Settings, *map(type, channel_settings().values())]
SECRETS = [(name, kind) for kind in KINDS for name in secrets_of(kind)]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of whoever runs the tests, and no .env."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def refusal(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> str:
    """Why the service does not start."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        Settings().check()
    return str(caught.value)


@pytest.mark.parametrize("given", [f"{GOOD},{OTHER}", f" {GOOD} , {OTHER},", f"{GOOD},,{OTHER}"])
def test_several_keys_are_listed_with_commas(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("SECRET_KEY", given)
    settings = Settings()
    settings.check()
    assert settings.signing_keys() == (GOOD, OTHER)


def test_one_key_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", f" {GOOD} ")
    assert Settings().signing_keys() == (f" {GOOD} ",)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (f"{GOOD},{WEAK}", "secret 2 of the 2 in SECRET_KEY is shorter than 32 bytes"),
        (f"{WEAK},{GOOD},{OTHER}", "secret 1 of the 3 in SECRET_KEY is shorter than 32 bytes"),
        (f"{GOOD},{'9' * 64}", "secret 2 of the 2 in SECRET_KEY is too simple"),
        (",", "SECRET_KEY has nothing between its commas"),
        (f"{WEAK},", "SECRET_KEY is shorter than 32 bytes"),
    ],
)
@pytest.mark.parametrize("environment", [{}, PRODUCTION], ids=["development", "production"])
def test_a_weak_key_of_several_is_named_by_its_place_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], given: str, said: str
) -> None:
    told = refusal(monkeypatch, {**environment, "SECRET_KEY": given})
    assert f"  - {said}" in told
    assert len(told.splitlines()) == 2
    assert not any(part in told for part in (GOOD, OTHER, WEAK))


def test_production_refuses_a_key_among_several_that_repeats_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    told = refusal(monkeypatch, {**PRODUCTION, "SECRET_KEY": f"{GOOD},{REPEATED}"})
    assert "secret 2 of the 2 in SECRET_KEY repeats itself or counts" in told
    assert REPEATED not in told


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "sixteen--letters,fifteen-letters",
            "secret 2 of the 2 in ELASTIC_WEBHOOK_TOKEN is shorter than 16 characters",
        ),
        (" , ", "ELASTIC_WEBHOOK_TOKEN has nothing between its commas"),
    ],
)
def test_a_weak_webhook_token_of_several_is_named_by_its_place(
    monkeypatch: pytest.MonkeyPatch, given: str, said: str
) -> None:
    told = refusal(monkeypatch, {**PRODUCTION, "ELASTIC_WEBHOOK_TOKEN": given})
    assert f"  - {said}" in told
    assert "letters" not in told


@pytest.mark.slow
def test_a_weak_secret_ends_the_start_with_status_2_and_one_sentence(tmp_path: Path) -> None:
    environment = {**os.environ, "SECRET_KEY": f"{GOOD},{WEAK}", "DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "app", "migrate"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "secret 2 of the 2 in SECRET_KEY is shorter than 32 bytes" in done.stderr
    assert "Traceback" not in done.stderr
    assert WEAK not in done.stderr


def value_of(kind: type[Settings | ChannelSettings], name: str) -> str | None:
    value = getattr(kind(), name)
    return value.get_secret_value() if value is not None else None


@pytest.mark.parametrize(("name", "kind"), SECRETS, ids=[name for name, _ in SECRETS])
def test_every_secret_can_come_from_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, kind: type[Settings | ChannelSettings]
) -> None:
    file = tmp_path / "secret"
    file.write_text("what only we know\n")
    monkeypatch.setenv(f"{name.upper()}_FILE", str(file))
    assert value_of(kind, name) == "what only we know"


def test_these_settings_are_secrets() -> None:
    assert {name.upper() for name, _ in SECRETS} == {
        "DATABASE_URL",
        "ELASTIC_WEBHOOK_TOKEN",
        "FIRST_SUPERUSER_PASSWORD",
        "METRICS_TOKEN",
        "NTFY_TOKEN",
        "RATE_LIMIT_STORAGE_URL",
        "SECRET_KEY",
        "SMS_GATEWAY_HEADERS",
        "SMS_GATEWAY_URL",
        "SMTP_PASSWORD",
        "TWILIO_AUTH_TOKEN",
        "WEBHOOK_SIGNING_SECRETS",
        "WEB_PUSH_PRIVATE_KEY",
    }
    assert [source.settings_type for source in SOURCES if list(secrets_of(source.settings_type))] == []


def test_a_name_of_a_file_may_stand_in_the_env_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(GOOD)
    (tmp_path / ".env").write_text(f"SECRET_KEY_FILE={tmp_path / 'key'}\nSMTP_PASSWORD_FILE=\n")
    settings = Settings()
    assert settings.signing_keys() == (GOOD,)
    assert settings.smtp_password is None


@pytest.mark.parametrize(("content", "value"), [("a b\n", "a b"), ("x\r\n", "x"), (" x \n\n", " x "), ("ü", "ü")])
def test_only_the_newline_at_the_end_of_a_file_is_dropped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str, value: str
) -> None:
    (tmp_path / "secret").write_bytes(content.encode())
    monkeypatch.setenv("SMTP_PASSWORD_FILE", str(tmp_path / "secret"))
    assert value_of(Settings, "smtp_password") == value


def test_several_keys_in_a_file_are_listed_with_commas_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{GOOD},{OTHER}\n")
    monkeypatch.setenv("SECRET_KEY_FILE", str(tmp_path / "keys"))
    assert Settings().signing_keys() == (GOOD, OTHER)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "which cannot be read: No such file or directory"),
        (b"", "which is empty"),
        (b" \n", "which is empty"),
        (b"\xff\xfe", "which is not UTF-8 text"),
        (b"x" * 65_537, "which is over 65536 bytes: no secret is that long"),
    ],
)
def test_a_file_without_a_secret_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    assert f"  - SMTP_PASSWORD_FILE names {file}, {said}" in refusal(monkeypatch, {"SMTP_PASSWORD_FILE": str(file)})


def test_a_directory_in_place_of_a_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = refusal(monkeypatch, {"SECRET_KEY_FILE": str(tmp_path)})
    assert "which cannot be read: Is a directory" in told


def test_a_secret_and_its_file_together_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(GOOD)
    (tmp_path / ".env").write_text(f"SECRET_KEY={OTHER}\n")
    told = refusal(monkeypatch, {"SECRET_KEY_FILE": str(tmp_path / "secret")})
    assert "SECRET_KEY_FILE and SECRET_KEY are both set: set one of the two" in told
    assert not any(key in told for key in (GOOD, OTHER))


def test_every_file_that_cannot_be_used_is_named_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing = {f"{name}_FILE": str(tmp_path / "none") for name in ("SECRET_KEY", "SMTP_PASSWORD")}
    assert all(name in refusal(monkeypatch, missing) for name in missing)
