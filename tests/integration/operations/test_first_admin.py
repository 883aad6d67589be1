"""The first administrator: who makes one, and that no password is logged in production."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from app.core.config import Settings
from app.core.security import Passwords
from app.core.vocabulary import Environment
from app.crud import crud_user
from app.db.session import Database
from app.schemas.user import UserCreate
from app.services.accounts import user_service
from app.utils import startup
from tests.support.world import PASSWORD

ROOT = Path(__file__).parents[3]


def admins(database: Database) -> list[str]:
    with database.transaction() as session:
        return [user.email for user in crud_user.active_admins(session)]


@pytest.fixture
def production(settings: Settings) -> Settings:
    return settings.model_copy(update={"environment": Environment.PRODUCTION, "migrate_on_start": False})


def test_production_makes_no_admin_by_itself_and_says_how_to(
    production: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    with capture_logs() as logs:
        startup.prepare(production, database)
    [line] = [line for line in logs if line["event"] == "no_administrator"]
    assert "python -m app create-admin EMAIL" in line["cure"]
    assert admins(database) == []
    assert "Password" not in capsys.readouterr().err


def test_production_makes_the_admin_that_the_operator_names(
    production: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    named = {"first_superuser": "boss@example.com", "first_superuser_password": SecretStr(PASSWORD)}
    with capture_logs() as logs:
        startup.prepare(production.model_copy(update=named), database)
    assert admins(database) == ["boss@example.com"]
    assert PASSWORD not in str(logs) + capsys.readouterr().err


def test_an_account_with_the_address_of_the_first_admin_is_not_promoted(
    production: Settings, database: Database
) -> None:
    """Somebody may have signed up with it: the operator is told, and promotes it with a new password."""
    with database.transaction() as session:
        user_service.create(session, UserCreate(email="boss@example.com", password=PASSWORD), Passwords(4))
    named = {"first_superuser": "boss@example.com", "first_superuser_password": SecretStr(PASSWORD)}
    with capture_logs() as logs:
        startup.prepare(production.model_copy(update=named), database)
    assert admins(database) == []
    [line] = [line for line in logs if line["event"] == "no_administrator"]
    assert "python -m app create-admin EMAIL" in line["cure"]


def test_production_with_an_admin_has_nothing_to_say(production: Settings, database: Database) -> None:
    named = {"first_superuser": "boss@example.com", "first_superuser_password": SecretStr(PASSWORD)}
    startup.prepare(production.model_copy(update=named), database)
    with capture_logs() as logs:
        startup.prepare(production, database)
    assert "no_administrator" not in str(logs)


@pytest.mark.parametrize(
    "named", [{}, {"first_superuser": "a@example.com", "first_superuser_password": SecretStr("x")}]
)
def test_a_worker_alone_never_makes_an_admin(
    settings: Settings, database: Database, named: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    startup.prepare_schema(settings.model_copy(update={"migrate_on_start": False, **named}), database)
    assert admins(database) == []
    assert capsys.readouterr().err == ""


def test_development_makes_one_and_shows_its_password_once(
    settings: Settings, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = settings.model_copy(update={"migrate_on_start": False})
    for _ in range(2):
        startup.prepare(fixed, database)
    assert admins(database) == [startup.DEFAULT_ADMIN]
    assert capsys.readouterr().err.count("Password:") == 1


def test_the_image_restarts_no_process_because_its_database_is_away() -> None:
    [check] = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if "urlopen" in line]
    assert "/health/live" in check


def test_the_image_is_production_and_compose_says_that_it_is_not() -> None:
    assert "ENVIRONMENT=production" in (ROOT / "Dockerfile").read_text()
    assert "ENVIRONMENT: ${ENVIRONMENT:-development}" in (ROOT / "docker-compose.yml").read_text()
