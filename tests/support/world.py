"""The world of a test: who and what is in it before the test begins, and how the test acts on it.

Most tests live on the fixtures of `tests/conftest.py`, in one transaction that is rolled back. What must really be
committed lives on `own_database`, with `real_connections`, or with `add_admins` and services of its own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache

from fastapi.testclient import TestClient
from sqlalchemy import text

from app.core.channel import Envelope, Outcome
from app.core.config import Settings
from app.core.security import Passwords
from app.core.vocabulary import AttemptOutcome
from app.db.session import Database
from app.main import create_app
from app.schemas.user import TokenPair
from app.utils.service_locator import build_services
from app.utils.startup import make_admin
from tests.support.api import Api

PASSWORD = "correct horse battery"
ADMIN = "admin@example.com"
NUMBER, OTHER_NUMBER = "+15550100", "+15550199"
LATER = Outcome(AttemptOutcome.RETRY, error="busy")
CHEAP_PASSWORDS = Passwords(4)  # the least that bcrypt takes


@dataclass
class Outbox:
    """A channel that keeps what it is given. `answers` are given in turn; after them everything is accepted.

    `on_send` is called in the middle of each call.
    """

    name: str = "email"
    sent: list[Envelope] = field(default_factory=list)
    answers: list[Outcome] = field(default_factory=list)
    on_send: Callable[[], object] = lambda: None

    def send(self, envelope: Envelope) -> Outcome:
        self.sent.append(envelope)
        self.on_send()
        return self.answers.pop(0) if self.answers else Outcome(AttemptOutcome.ACCEPTED, provider_id="1")

    def provider(self, address: str) -> str:
        return "outbox"

    @property
    def pages(self) -> list[Envelope]:
        """What paged somebody, without notices about accounts and status updates."""
        return [envelope for envelope in self.sent if envelope.kind.is_page]


@dataclass(frozen=True)
class Clock:
    """Moves the service's time, which is the database's plus an offset."""

    database: Database
    offset: list[timedelta] = field(default_factory=lambda: [timedelta()])

    def advance(self, **by: float) -> None:
        self.offset[0] += timedelta(**by)
        seconds = f"{self.offset[0].total_seconds()} seconds"
        with self.database.transaction() as session:
            session.execute(text("SELECT set_config('incidents.clock_offset', :offset, false)"), {"offset": seconds})


@dataclass(frozen=True)
class Person:
    """A user who is logged in."""

    id: int
    email: str
    headers: dict[str, str]
    refresh_token: str

    def on(self, client: TestClient) -> Api:
        """The API as this person uses it."""
        return Api(client, self.headers)


def person(user_id: int, email: str, tokens: TokenPair) -> Person:
    """Who has these tokens."""
    return Person(user_id, email, {"Authorization": f"Bearer {tokens.access_token}"}, tokens.refresh_token)


@cache
def hashed_password() -> str:
    """The hash of PASSWORD, made once."""
    return CHEAP_PASSWORDS.hash(PASSWORD)


def add_admins(database: Database, *emails: str) -> None:
    """Make administrators, ADMIN if none is named, whose password is PASSWORD."""
    with database.transaction() as session:
        for email in emails or (ADMIN,):
            make_admin(session, email, PASSWORD, CHEAP_PASSWORDS)


@contextmanager
def instance(settings: Settings, database: Database) -> Iterator[TestClient]:
    """One more instance of the service on a database."""
    services = build_services(settings, database, channels={"email": Outbox()})
    with TestClient(create_app(settings, services)) as client:
        yield client


@contextmanager
def real_connections(settings: Settings, database: Database) -> Iterator[Api]:
    """The API on a database of its own, each request on a connection of its own, as the administrator uses it."""
    add_admins(database)
    with instance(settings, database) as client:
        login = Api(client).call("POST /auth/login/access-token", {"username": ADMIN, "password": PASSWORD})
        yield Api(client, {"Authorization": f"Bearer {login['access_token']}"})
