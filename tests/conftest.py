"""A real PostgreSQL, migrated by Alembic. Each test runs in an outer transaction that is rolled back."""

import gc
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import pytest
from anyio.from_thread import BlockingPortal
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from app.core.config import ChannelSettings, Settings
from app.crud import crud_user
from app.db import migrations
from app.db.embedded.server import EmbeddedPostgres
from app.db.session import Database, connect, driver_url
from app.main import create_app
from app.schemas.user import UserCreate
from app.services.accounts import auth_service, user_service
from app.utils.service_locator import Services, build_services, channel_settings
from app.worker import Jobs
from tests.support.documented import require_documented
from tests.support.in_process import InProcessClient
from tests.support.inline import inline_jobs
from tests.support.ports import next_port
from tests.support.world import ADMIN, PASSWORD, Clock, Outbox, Person, hashed_password, person

# Thousands of collected tests lie on the heap: looking through them for cycles as often as by default takes a tenth of
# the time of collecting them, and a twentieth of that of running them.
gc.set_threshold(20_000, 10, 10)

# The same examples for everybody, however slow the machine is.
hypothesis.settings.register_profile(
    "any machine",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example],
)
hypothesis.settings.register_profile("mutants", hypothesis.settings.get_profile("any machine"), max_examples=25)
hypothesis.settings.load_profile("any machine")


@pytest.hookimpl(trylast=True)  # hypothesis marks its tests before
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A mutant ends with the first test that fails: those of many examples come last."""
    if config.getoption("--hypothesis-profile") == "mutants":
        items.sort(key=lambda item: item.get_closest_marker("hypothesis") is not None)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for the whole run: the processes of xdist share it. `TEST_DATABASE_URL` names another."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with EmbeddedPostgres(shared / "postgres") as embedded:
        _do_not_wait_for_the_disk(embedded)
        yield embedded


def _do_not_wait_for_the_disk(url: str) -> None:
    """A test's data need not survive the machine."""
    server = create_engine(driver_url(url), isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(text(f"ALTER SYSTEM SET {setting} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
    server.dispose()


@pytest.fixture(scope="session")
def new_database(server_url: str) -> Iterator[Callable[..., str]]:
    """Makes databases, empty or as copies of another. They go with our own server; on another's they are dropped."""
    server = create_engine(driver_url(server_url), isolation_level="AUTOCOMMIT")
    made: list[str] = []

    def make(template: str = "template1") -> str:
        name = f"test_{uuid4().hex[:12]}"
        with server.connect() as connection:
            connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
        made.append(name)
        return server.url.set(database=name).render_as_string(hide_password=False)

    yield make
    with server.connect() as connection:
        for name in made if "TEST_DATABASE_URL" in os.environ else ():
            connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
    server.dispose()


@pytest.fixture(scope="session")
def template(new_database: Callable[..., str]) -> str:
    """The name of a migrated database that nobody is connected to."""
    url = new_database()
    database = connect(url, pool_size=1)
    migrations.upgrade(database)
    database.dispose()
    return url.rpartition("/")[2]


@pytest.fixture(scope="session")
def migrated_url(new_database: Callable[..., str], template: str) -> str:
    """The database that the tests of this process share, one transaction after the other."""
    return new_database(template)


@pytest.fixture
def own_url(new_database: Callable[..., str], template: str) -> str:
    """A migrated database of the test's own, for what must really be committed."""
    return new_database(template)


@pytest.fixture
def own_database(own_url: str) -> Iterator[Database]:
    """Connections to a database of the test's own."""
    database = connect(own_url, pool_size=20, overflow=20)
    yield database
    database.dispose()


@pytest.fixture(scope="session")
def shared_database(migrated_url: str) -> Iterator[Database]:
    """One engine for all tests of this process: each would compile its statements anew."""
    database = connect(migrated_url, pool_size=1)
    yield database
    database.dispose()


@pytest.fixture
def database(shared_database: Database) -> Iterator[Database]:
    """A database on one connection, in a transaction that is rolled back."""
    with shared_database.connection() as connection:
        outer = connection.begin()
        yield Database(connection)
        outer.rollback()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    """A session within the test's transaction."""
    with database.session() as session:
        yield session


@pytest.fixture
def clock(database: Database) -> Clock:
    return Clock(database)


@pytest.fixture(scope="session")
def default_settings() -> Settings:
    """Development settings of no .env, with cheap password hashes. They are read once: that takes milliseconds."""
    return Settings(_env_file=None, bcrypt_rounds=4, log_level="WARNING")


@pytest.fixture(scope="session")
def default_channel_settings() -> dict[str, ChannelSettings]:
    """The channels' own settings, read once."""
    return channel_settings()


@pytest.fixture
def settings(default_settings: Settings, tmp_path: Path) -> Settings:
    """The test's own settings, with a directory of its own."""
    return default_settings.model_copy(update={"data_dir": tmp_path})


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def services(
    settings: Settings, database: Database, outbox: Outbox, default_channel_settings: dict[str, ChannelSettings]
) -> Services:
    return build_services(settings, database, channels={outbox.name: outbox}, channel_settings=default_channel_settings)


@pytest.fixture(scope="session")
def application() -> FastAPI:
    """The application, whose routes are worked out once. It has no parts until a test lends it some."""
    return create_app(Settings(_env_file=None, log_level="WARNING"))


@pytest.fixture(scope="session")
def portal(application: FastAPI) -> Iterator[BlockingPortal]:
    """The way to the event loop on which the application runs, in a thread of its own."""
    application.state.services = object()  # nothing is started: a test lends it what it needs
    with TestClient(application) as running:
        assert running.portal is not None
        yield running.portal


@pytest.fixture
def client(application: FastAPI, portal: BlockingPortal, services: Services) -> Iterator[TestClient]:
    """The API on the test's transaction. Every error that it answers must be one that the document names."""
    application.state.services = services
    client = InProcessClient(application, portal)
    client.event_hooks = {"response": [require_documented]}
    yield client
    application.state.services = None


@pytest.fixture
def jobs(services: Services) -> Jobs:
    """The worker's jobs, run by the test instead of the scheduler."""
    return inline_jobs(services)


@pytest.fixture
def tick(jobs: Jobs) -> Callable[[], None]:
    """What the scheduler does every second."""

    def run() -> None:
        jobs.plan()
        jobs.send()

    return run


@pytest.fixture
def log_in(services: Services) -> Callable[..., Person]:
    """Logs a user in by the password, beside HTTP."""

    def run(email: str, password: str = PASSWORD) -> Person:
        pair = auth_service.log_in(services.database, services.auth, username=email, password=password)
        with services.database.transaction() as session:
            user = crud_user.by_email(session, email)
        assert user is not None
        return person(user.id, email, pair)

    return run


@pytest.fixture
def sign_up(services: Services) -> Callable[..., Person]:
    """Makes an ordinary user, whose address is proved, and logs it in. It hashes nothing: most tests need it."""

    def run(email: str = "", **fields: Any) -> Person:
        new = UserCreate(email=email or f"user-{uuid4().hex[:8]}@example.com", password=PASSWORD, **fields)
        with services.database.transaction() as session:
            known = new.model_dump(exclude={"password"})
            user = user_service.add(session, known, hashed_password(), is_address_proved=True)
            return person(user.id, new.email, auth_service.start_session(session, services.auth, user.id))

    return run


@pytest.fixture
def user(sign_up: Callable[..., Person]) -> Person:
    """An ordinary user."""
    return sign_up("user@example.com")


@pytest.fixture
def admin(sign_up: Callable[..., Person]) -> Person:
    """An administrator."""
    return sign_up(ADMIN, is_superuser=True)


@pytest.fixture
def open_incident(client: TestClient, user: Person) -> Callable[..., dict[str, Any]]:
    """Opens an incident as the ordinary user."""

    def run(*, by: Person = user, **fields: Any) -> dict[str, Any]:
        body = {"title": "Database connection failed", "severity": "high", "service": "database", **fields}
        incident: dict[str, Any] = by.on(client).call("POST /incidents", body, wants=201)
        return incident

    return run


@pytest.fixture
def add_policy(client: TestClient, admin: Person) -> Callable[..., dict[str, Any]]:
    """Adds a policy as the administrator: by default it pages the admins at once."""

    def run(**fields: Any) -> dict[str, Any]:
        steps = [{"delay_minutes": 0, "actions": [{"type": "notify", "target": "admins"}]}]
        body = {"name": f"policy-{uuid4().hex[:8]}", "conditions": {}, "steps": steps, **fields}
        policy: dict[str, Any] = admin.on(client).call("POST /escalation/policies", body, wants=201)
        return policy

    return run


@pytest.fixture
def free_port(worker_id: str) -> int:
    """A port for a server, which no other test takes meanwhile."""
    return next_port(int(worker_id.removeprefix("gw").replace("master", "9")))


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port on which nobody listens, and nobody else can."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        yield port
