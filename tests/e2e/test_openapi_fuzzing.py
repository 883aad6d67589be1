"""Schemathesis against the OpenAPI document: as people of every role, as an API key of every scope, and as nobody.

`FUZZ_EXAMPLES=200` runs all phases for everybody, with that many examples for each operation.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

import pytest
import schemathesis
from fastapi.testclient import TestClient
from pydantic import SecretStr
from requests.structures import CaseInsensitiveDict
from schemathesis import AuthContext, BaseSchema, Case
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder
from sqlalchemy import text

from app.core.config import Settings
from app.db.session import Database
from app.utils.service_locator import Services, build_services
from tests.support.inline import inline_jobs
from tests.support.rights import rows
from tests.support.world import PASSWORD, add_admins

pytestmark = [pytest.mark.fuzz, pytest.mark.timeout(0)]

Role = Literal["admin", "user", "nobody", "viewer", "read", "incidents:write", "policies:write", "admin by key"]

WEBHOOK_TOKEN = "a secret between two machines"
IS_THOROUGH = "FUZZ_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "3"))
ALL_PHASES = ("examples", "coverage", "fuzzing", "stateful")
# The systematic phase meets the same schemas for everybody: the others need not repeat it.
PHASES: dict[Role, tuple[str, ...]] = {
    "admin": ALL_PHASES,
    "user": ALL_PHASES if IS_THOROUGH else ("fuzzing", "stateful"),
}
SHORT = ALL_PHASES if IS_THOROUGH else ("fuzzing",)
# The roles that the table of rights describes, and its columns for them.
IN_THE_TABLE: dict[Role, str] = {
    "viewer": "viewer",
    "read": "key with read",
    "incidents:write": "key with incidents:write",
    "policies:write": "key with policies:write",
    "admin by key": "key with admin",
}
# What these take is what others take, which are tried systematically.
ALIKE = (
    "GET /v1/escalation/policies",
    "GET /v1/incidents/{incident_id}/comments",
    "GET /v1/incidents/{incident_id}/escalation-events",
    "GET /v1/incidents/{incident_id}/timeline",
    "PATCH /v1/incidents/{incident_id}",
    "POST /v1/incidents/{incident_id}/escalate",
    "PUT /v1/escalation/policies/{policy_id}",
    "PUT /v1/notification-preferences/{user_id}/{channel}",
)
CHECKS = {
    # JSON Schema cannot say that a user must exist, that delays must not decrease, what an address is. What is
    # valid is accepted all the same: the number of operations that succeeded says so.
    "positive_data_acceptance": {"enabled": False},
}
# What cannot be read opens an incident: no alert is refused.
WEBHOOK = "POST /v1/alerts/elastic"  # everybody sends its token along
TAKES_ALL = {"include-name": WEBHOOK, "checks": {"negative_data_rejection": {"enabled": False}}}
# In lists by time an id is a cursor as well, which the document does not mention.
TAKES_IDS_AS_CURSORS = [
    {"include-name": name, "checks": {"negative_data_rejection": {"enabled": False}}}
    for name in ("GET /v1/incidents", "GET /v1/audit")
]
# To DELETE, these are users whose ids cannot exist: 404, not 405.
NO_IDS = [
    {
        "include-name": name,
        "checks": {"unsupported_method": {"enabled": False}, "allow_header_conformance": {"enabled": False}},
    }
    for name in ("PUT /v1/users/me", "GET /v1/users/directory")
]
# These want what nobody can guess: a token that was handed out, an address with its password.
NEEDS_A_SECRET = {
    "POST /v1/auth/login/access-token",
    "POST /v1/auth/login/refresh-token",
    "POST /v1/auth/logout",
    "POST /v1/auth/reset-password",
}
# These want a code that was sent to an address.
NEEDS_A_CODE = {"POST /v1/users/me/email/confirm", "POST /v1/notification-preferences/me/{channel}/confirm"}
FOR_ADMINS = re.compile(r"\w+ /v1/(users$|users/{user_id}|escalation/policies|notification-preferences/{user_id})")
PUBLIC = NEEDS_A_SECRET | {
    "GET /",
    "GET /health",
    "GET /health/live",
    "GET /health/ready",
    "POST /v1/auth/signup",
    "POST /v1/auth/password-recovery/{email}",
}


@dataclass
class Run:
    """What came of a run: statuses by operation, and everything that a check objected to."""

    answers: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    objections: dict[str, str] = field(default_factory=dict)

    @property
    def succeeded(self) -> set[str]:
        return {label for label, statuses in self.answers.items() if any(200 <= status < 300 for status in statuses)}

    @property
    def failed(self) -> set[str]:
        return self.answers.keys() - self.succeeded

    @property
    def report(self) -> str:
        return "\n\n".join(f"{title}\n{details}" for title, details in self.objections.items())

    def add(self, recorder: ScenarioRecorder) -> None:
        for case_id, interaction in recorder.interactions.items():
            if interaction.response is not None:
                label = recorder.cases[case_id].value.operation.label
                self.answers[label][int(interaction.response.status_code)] += 1
        for case_id, checks in recorder.checks.items():
            for check in checks:
                if check.status is Status.FAILURE and check.failure_info is not None:
                    failure = check.failure_info.failure
                    key = f"{recorder.cases[case_id].value.operation.label}: {failure.title}"
                    self.objections.setdefault(key, f"{failure.message}\n{check.failure_info.code_sample}")


@pytest.fixture
def services(settings: Settings, own_database: Database) -> Services:
    """On a database of its own: what the fuzzer makes stays, and later requests find it. Mails become files."""
    settings = settings.model_copy(update={"elastic_webhook_token": SecretStr(WEBHOOK_TOKEN), "log_level": "ERROR"})
    return build_services(settings, own_database)


@pytest.fixture
def new_token(client: TestClient, services: Services) -> Callable[[Role], str]:
    """Makes an account and logs it in. Each is new: the fuzzer deletes, demotes and locks out whom it was."""

    def run(role: Role) -> str:
        credentials = {"username": f"{uuid4().hex}@example.com", "password": PASSWORD}
        if role in ("user", "viewer"):
            body = {"email": credentials["username"], "password": PASSWORD}
            assert client.post("/v1/auth/signup", json=body).status_code == 201
        else:
            add_admins(services.database, credentials["username"])
        if role == "viewer":
            _demote(services.database, credentials["username"])
        token: str = client.post("/v1/auth/login/access-token", json=credentials).json()["access_token"]
        return token if role in ("admin", "user", "viewer") else _key_of(client, token, role)

    return run


def _demote(database: Database, email: str) -> None:
    """Make a viewer of somebody."""
    with database.transaction() as session:
        session.execute(text("UPDATE users SET role = 'viewer' WHERE email = :email"), {"email": email})


def _key_of(client: TestClient, token: str, role: Role) -> str:
    """A new API key of an administrator, with one scope."""
    body = {"name": role, "scopes": ["admin" if role == "admin by key" else role], "current_password": PASSWORD}
    made = client.post("/v1/api-keys", json=body, headers={"Authorization": f"Bearer {token}"})
    key: str = made.json()["key"]
    return key


@pytest.fixture
def fuzz(client: TestClient, new_token: Callable[[Role], str]) -> Callable[[Role], Run]:
    """Runs Schemathesis as somebody, until all is tried."""

    def run(role: Role) -> Run:
        schema: BaseSchema = schemathesis.openapi.from_asgi("/v1/openapi.json", client.app, config=_config(role))
        if role == "admin":  # the incidents must stay, for the policies to be carried out on; other roles try to delete
            schema = schema.exclude(method="DELETE", path="/v1/incidents/{incident_id}")
        if role != "nobody":
            _authenticate(schema, lambda: new_token(role), is_admin=role == "admin")
        result = Run()
        for event in from_schema(schema).execute():
            if isinstance(event, events.ScenarioFinished):
                result.add(event.recorder)
            elif isinstance(event, events.NonFatalError | events.FatalError):
                pytest.fail(f"the run itself broke: {event}")
        return result

    return run


def _config(role: Role) -> SchemathesisConfig:
    phases: dict[str, Any] = {phase: {"enabled": phase in PHASES.get(role, SHORT)} for phase in ALL_PHASES}
    phases["coverage"]["unexpected-methods"] = ["DELETE", "OPTIONS", "TRACE"]
    skipped = [{"include-name": name, "phases": {"coverage": {"enabled": False}}} for name in ALIKE]
    return SchemathesisConfig.from_dict(
        {
            "seed": 1,
            "continue-on-failure": True,
            "cache": {"enabled": False},
            # How quickly and how large data is made depends on the machine, and is not what is tested.
            "suppress-health-check": ["all"],
            # Shrinking sends a request again, and by then the database is not what it was.
            "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none", "no-shrink": True},
            "phases": phases,
            "checks": CHECKS,
            "operations": [TAKES_ALL, *TAKES_IDS_AS_CURSORS, *NO_IDS, *([] if IS_THOROUGH else skipped)],
        }
    )


def _authenticate(schema: BaseSchema, new_token: Callable[[], str], *, is_admin: bool) -> None:
    """Log in, and again whenever the token has ended; who was an administrator and is refused is one no longer."""

    @schema.auth(retry_on=[401, 403] if is_admin else [401])
    class Login:
        def get(self, case: Case[Any], context: AuthContext) -> str:
            return new_token()

        def set(self, case: Case[Any], token: str, context: AuthContext) -> None:
            is_webhook = case.path.startswith("/v1/alerts/")
            credentials = {"X-Webhook-Token": WEBHOOK_TOKEN} if is_webhook else {"Authorization": f"Bearer {token}"}
            case.headers = CaseInsensitiveDict({**case.headers, **credentials})


def _later(database: Database) -> None:
    """Let the delays of all accepted policies pass."""
    with database.transaction() as session:
        name = session.execute(text("SELECT current_database()")).scalar_one()
        session.execute(text(f"ALTER DATABASE \"{name}\" SET incidents.clock_offset = '40 days'"))
    database.dispose()


def _timeline(database: Database) -> Counter[str]:
    """How often each thing happened to any incident."""
    with database.transaction() as session:
        return Counter(session.execute(text("SELECT event_type FROM timeline_events")).scalars())


def test_an_administrator_gets_only_answers_that_the_document_names(
    fuzz: Callable[[Role], Run], services: Services
) -> None:
    run = fuzz("admin")
    assert not run.objections, run.report
    assert len(run.failed - NEEDS_A_SECRET - NEEDS_A_CODE) < 4, f"never succeeded, the run was hollow: {run.failed}"

    _later(services.database)
    jobs = inline_jobs(services)
    jobs.plan()
    jobs.send()
    happened = _timeline(services.database)
    assert happened["escalation_step"] > 0
    assert happened["escalation_quarantined"] == 0, "a policy was accepted that cannot be carried out"


def test_an_ordinary_user_gets_only_answers_that_the_document_names(fuzz: Callable[[Role], Run]) -> None:
    run = fuzz("user")
    assert not run.objections, run.report
    assert not [label for label in run.succeeded if FOR_ADMINS.match(label)]
    for_users = [label for label in run.answers if not FOR_ADMINS.match(label)]
    assert len(run.succeeded) > len(for_users) / 2, f"never succeeded, the run was hollow: {run.failed}"


def test_nobody_gets_only_answers_that_the_document_names(fuzz: Callable[[Role], Run]) -> None:
    run = fuzz("nobody")
    assert not run.objections, run.report
    assert {"GET /", "GET /health"} <= run.succeeded <= PUBLIC


@pytest.mark.parametrize("role", IN_THE_TABLE)
def test_a_viewer_and_each_key_get_what_the_table_of_rights_says(fuzz: Callable[[Role], Run], role: Role) -> None:
    run = fuzz(role)
    assert not run.objections, run.report
    rights = {row.route: row.rights[IN_THE_TABLE[role]] for row in rows()}
    assert {label: rights[label] for label in run.succeeded - {WEBHOOK} if rights[label] != "yes"} == {}
    open_to_it = {route for route, right in rights.items() if right == "yes"} - PUBLIC
    let_in = {label for label, statuses in run.answers.items() if statuses.keys() - {401, 403}}
    assert let_in & open_to_it, f"never let in, the run was hollow: {run.failed}"
