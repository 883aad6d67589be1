"""The settings in force are recorded at a start if they differ from the last one, and secrets as fingerprints."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.core.config import Settings
from app.db.session import Database
from app.integrations.channels.push.channel import PushSettings
from app.utils.service_locator import Services, build_services
from app.utils.startup import record_settings
from tests.support.api import together
from tests.support.audited import TABLES
from tests.support.contention import stored_text
from tests.support.world import Outbox

SECRET = "xq7confided-and-long-enough-for-a-key"
OTHER_SECRET = "another-key-that-is-long-enough-too-1"


def started(settings: Settings, database: Database, role: str = "service", **given: Any) -> Services:
    """A start with these settings."""
    services = build_services(settings.model_copy(update=given), database, channels={"email": Outbox()})
    record_settings(services, role)
    return services


def recorded(database: Database) -> Sequence[dict[str, Any]]:
    """What each entry says, oldest first."""
    query = (
        "SELECT object_id, (SELECT jsonb_object_agg(name, value::jsonb) FROM audit_values v WHERE v.entry_id = e.id) "
        "FROM audit_entries e WHERE action = 'settings.changed' ORDER BY id"
    )
    with database.transaction() as session:
        return [{"role": role, **(values or {})} for role, values in session.execute(text(query))]


def test_the_first_start_records_all_settings(settings: Settings, database: Database) -> None:
    started(settings, database)
    [entry] = recorded(database)
    assert entry["PORT"] == {"from": None, "to": 8000}
    assert entry["ENVIRONMENT"]["to"] == "development"
    assert entry["WEBHOOK_TIMEOUT_SECONDS"]["to"] == 10
    assert entry["PUSH_ALLOW_PRIVATE_ADDRESSES"]["to"] is False


def test_a_start_with_the_same_settings_records_nothing(settings: Settings, database: Database) -> None:
    started(settings, database)
    started(settings, database)
    assert len(recorded(database)) == 1


def test_a_later_start_records_what_differs(settings: Settings, database: Database) -> None:
    started(settings, database)
    started(settings, database, port=8001, open_signup=False)
    assert recorded(database)[1:] == [
        {"role": "service", "PORT": {"from": 8000, "to": 8001}, "OPEN_SIGNUP": {"from": True, "to": False}}
    ]


def test_a_setting_that_is_no_longer_set_is_recorded(settings: Settings, database: Database) -> None:
    started(settings, database, smtp_host="mail.example.com")
    started(settings, database)
    assert recorded(database)[1]["SMTP_HOST"] == {"from": "mail.example.com", "to": None}


def test_a_worker_alone_is_compared_with_a_worker(settings: Settings, database: Database) -> None:
    started(settings, database)
    started(settings, database, "worker", port=8001)
    started(settings, database)
    assert [entry["role"] for entry in recorded(database)] == ["service", "worker"]


@pytest.mark.parametrize(
    "given",
    [
        {"smtp_password": SecretStr(SECRET)},
        {"database_url": SecretStr(f"postgresql://u:{SECRET}@127.0.0.1/x")},
        {"dead_man_url": f"https://ping.example.com/{SECRET}"},
        {"twilio_account_sid": SECRET},
        {"elastic_webhook_token": SecretStr(SECRET)},
        {"secret_key": SecretStr(SECRET)},
    ],
    ids=lambda given: next(iter(given)),
)
def test_a_secret_is_a_fingerprint(settings: Settings, database: Database, given: dict[str, Any]) -> None:
    started(settings, database, **given)
    [name] = [name.upper() for name in given]
    [entry] = recorded(database)
    assert entry[name]["to"].startswith("fingerprint ")
    assert SECRET not in stored_text(database, *TABLES)


def test_a_secret_of_a_channel_is_a_fingerprint(settings: Settings, database: Database) -> None:
    services = build_services(settings, database, channels={"email": Outbox()})
    own = {**services.paging.channel_settings, "push": PushSettings(_env_file=None, ntfy_token=SecretStr(SECRET))}
    record_settings(build_services(settings, database, channels={"email": Outbox()}, channel_settings=own), "service")
    assert recorded(database)[0]["NTFY_TOKEN"]["to"].startswith("fingerprint ")
    assert SECRET not in stored_text(database, *TABLES)


def test_a_new_secret_has_another_fingerprint(settings: Settings, database: Database) -> None:
    started(settings, database, smtp_password=SecretStr(SECRET))
    started(settings, database, smtp_password=SecretStr(OTHER_SECRET))
    change = recorded(database)[1]["SMTP_PASSWORD"]
    assert change["from"] != change["to"]
    assert recorded(database)[1].keys() == {"role", "SMTP_PASSWORD"}


def test_a_new_secret_key_does_not_look_like_new_secrets(settings: Settings, database: Database) -> None:
    mail: dict[str, Any] = {"smtp_password": SecretStr(SECRET)}
    started(settings, database, secret_key=SecretStr(SECRET), **mail)
    started(settings, database, secret_key=SecretStr(OTHER_SECRET), **mail)
    started(settings, database, secret_key=SecretStr(OTHER_SECRET), **mail)
    assert [entry.keys() for entry in recorded(database)[1:]] == [{"role", "SECRET_KEY"}]


def test_processes_that_start_at_once_record_once(settings: Settings, own_database: Database) -> None:
    for port in (8001, 8002):
        changed = settings.model_copy(update={"port": port})
        processes = [build_services(changed, own_database, channels={"email": Outbox()}) for _ in range(6)]
        together([partial(record_settings, services, "service") for services in processes])
    assert len(recorded(own_database)) == 2
