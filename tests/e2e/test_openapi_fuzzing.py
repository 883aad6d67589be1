"""Schemathesis against the OpenAPI document: as an administrator, as an ordinary user and as nobody.

`FUZZ_EXAMPLES=200` runs all phases for everybody, with that many examples for each operation.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import uuid4

import pytest
import schemathesis
from fastapi.testclient import TestClient
from pydantic import SecretStr
from schemathesis import AuthContext, BaseSchema, Case
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder

from app.core.config import Settings
from app.db.session import Database
from app.main import create_app
from app.utils.service_locator import Services, build_services
from app.utils.startup import make_admin
from tests.conftest import PASSWORD, Outbox

Role = Literal["admin", "user", "nobody"]

WEBHOOK_TOKEN = "a secret between two machines"
IS_THOROUGH = "FUZZ_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))
ALL_PHASES = ("examples", "coverage", "fuzzing", "stateful")
# The systematic phase meets the same schemas for everybody: the others need not repeat it.
PHASES: dict[Role, tuple[str, ...]] = {
    "admin": ALL_PHASES,
    "user": ALL_PHASES if IS_THOROUGH else ("fuzzing", "stateful"),
    "nobody": ALL_PHASES if IS_THOROUGH else ("fuzzing",),
}
# Its body has the schema of the POST beside it, which is by far the largest: a quarter of all requests.
SAME_AS_ANOTHER = "PUT /v1/escalation/policies/{policy_id}"
CHECKS = {
    # JSON Schema cannot say that a user must exist, that delays must not decrease, what an address is. What is
    # valid is accepted all the same: `SUCCEEDS_RARELY` sees to it.
    "positive_data_acceptance": {"enabled": False},
}
# To DELETE, this is a user whose id cannot exist: 404, not 405.
ME = {
    "include-name": "PUT /v1/users/me",
    "checks": {"unsupported_method": {"enabled": False}, "allow_header_conformance": {"enabled": False}},
}
# These want what nobody can guess: a token that was handed out, an address with its password.
NEEDS_A_SECRET = {
    "POST /v1/auth/login/access-token",
    "POST /v1/auth/login/refresh-token",
    "POST /v1/auth/logout",
    "POST /v1/auth/reset-password",
}
FOR_ADMINS = ("/v1/users", "/v1/escalation/policies", "/v1/notification-preferences/{user_id}")


@dataclass
class Run:
    """What came of a run: statuses by operation, and everything that a check objected to."""

    answers: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    objections: dict[str, str] = field(default_factory=dict)

    @property
    def succeeded(self) -> set[str]:
        return {label for label, statuses in self.answers.items() if any(200 <= status < 300 for status in statuses)}

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
def services(settings: Settings, own_database: Database, outbox: Outbox) -> Services:
    """On a database of its own: what the fuzzer makes stays, and later requests find it."""
    settings = settings.model_copy(update={"elastic_webhook_token": SecretStr(WEBHOOK_TOKEN), "log_level": "ERROR"})
    return build_services(settings, own_database, channels={outbox.name: outbox})


@pytest.fixture
def new_token(client: TestClient, services: Services) -> Callable[[Role], str]:
    """Makes an account and logs it in. Each is new: the fuzzer deletes, demotes and locks out whom it was."""

    def run(role: Role) -> str:
        credentials = {"username": f"{role}-{uuid4().hex}@example.com", "password": PASSWORD}
        if role == "admin":
            with services.database.transaction() as session:
                make_admin(session, credentials["username"], PASSWORD, services.auth.passwords)
        else:
            body = {"email": credentials["username"], "password": PASSWORD}
            assert client.post("/v1/auth/signup", json=body).status_code == 201
        token: str = client.post("/v1/auth/login/access-token", json=credentials).json()["access_token"]
        return token

    return run


@pytest.fixture
def fuzz(client: TestClient, new_token: Callable[[Role], str]) -> Callable[[Role], Run]:
    """Runs Schemathesis as somebody, until all is tried."""

    def run(role: Role) -> Run:
        schema = schemathesis.openapi.from_asgi("/v1/openapi.json", client.app, config=_config(role))
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
