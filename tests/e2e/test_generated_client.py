"""The Python client that openapi-python-client makes of the document imports, and works against the service."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import LiveServer
from tests.support.operations import DOCUMENT, OPERATIONS
from tests.support.world import ADMIN, PASSWORD

pytestmark = pytest.mark.e2e

PACKAGE = "generated_paging_client"


@dataclass(frozen=True)
class Generated:
    """The package, whose modules exist only while the tests run."""

    directory: Path

    def load(self, name: str) -> Any:
        return importlib.import_module(f"{PACKAGE}.{name}")

    def operations(self) -> dict[str, str]:
        """The module of each operation, by the operation's id."""
        found = (self.directory / PACKAGE / "api").glob("*/[!_]*.py")
        return {module.stem: f"api.{module.parent.name}.{module.stem}" for module in found}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generated]:
    directory = tmp_path_factory.mktemp("generated")
    (directory / "openapi.json").write_text(json.dumps(DOCUMENT))
    (directory / "config.yml").write_text("post_hooks: []\n")  # nobody reads the code: it need not be formatted
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--fail-on-warning"]
    options = ["--path", "openapi.json", "--config", "config.yml", "--meta", "none", "--output-path", PACKAGE]
    made = subprocess.run([*command, *options], cwd=directory, capture_output=True, text=True, timeout=60, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    assert "WARNING" not in made.stdout + made.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(directory)
        yield Generated(directory)


@dataclass(frozen=True)
class Caller:
    """Somebody who uses the client."""

    generated: Generated
    client: Any

    def call(self, operation: str, *path: int, wants: int = 200, **given: Any) -> Any:
        """What the client makes of the answer."""
        answer = self.generated.load(self.generated.operations()[operation]).sync_detailed(
            *path, client=self.client, **given
        )
        assert answer.status_code == HTTPStatus(wants), answer.content
        return answer.parsed


@pytest.fixture
def server_settings() -> dict[str, str]:
    return {"FIRST_SUPERUSER": ADMIN, "FIRST_SUPERUSER_PASSWORD": PASSWORD}


@pytest.fixture
def nobody(generated: Generated, live_server: LiveServer) -> Iterator[Caller]:
    with generated.load("client").Client(base_url=live_server.url) as client:
        yield Caller(generated, client)


@pytest.fixture
def admin_token(generated: Generated, nobody: Caller) -> str:
    credentials = generated.load("models").Credentials(username=ADMIN, password=PASSWORD)
    return str(nobody.call("log_in", body=credentials).access_token)


@pytest.fixture
def caller(generated: Generated, live_server: LiveServer, admin_token: str) -> Iterator[Caller]:
    with generated.load("client").AuthenticatedClient(base_url=live_server.url, token=admin_token) as client:
        yield Caller(generated, client)


def test_a_generated_client_has_every_operation_and_imports(generated: Generated) -> None:
    modules = generated.operations()
    assert modules.keys() == {operation.spec["operationId"] for operation in OPERATIONS}
    for module in modules.values():
        assert callable(generated.load(module).sync_detailed)
    assert generated.load("models").ErrorCode.VALIDATION_ERROR.value == "validation_error"


def test_a_generated_client_handles_an_incident(generated: Generated, caller: Caller) -> None:
    models = generated.load("models")
    new = models.IncidentCreate(title="Disk full", severity=models.Severity.HIGH, service="db")
    opened = caller.call("create_incident", body=new, idempotency_key="disk-full-1", wants=201)
    again = caller.call("create_incident", body=new, idempotency_key="disk-full-1", wants=201)
    assert again.id == opened.id
    assert caller.call("read_incident", opened.id).created_by_name == opened.created_by_name

    note = models.ActionNote(comment="On it.")
    taken = caller.call("acknowledge_incident", opened.id, body=note)
    assert (taken.status, taken.assigned_to) == (models.IncidentStatus.ACKNOWLEDGED, opened.created_by)
    assert [comment.content for comment in caller.call("list_comments", opened.id)] == ["On it."]

    status = [models.IncidentStatus.ACKNOWLEDGED]
    assert [incident.id for incident in caller.call("list_incidents", status=status, q="disk")] == [opened.id]


def test_a_generated_client_reads_errors(generated: Generated, caller: Caller, nobody: Caller) -> None:
    models = generated.load("models")
    no_title = models.IncidentCreate(title="", severity=models.Severity.LOW, service="db")
    refused = caller.call("create_incident", body=no_title, wants=422)
    assert refused.code is models.ErrorCode.VALIDATION_ERROR
    assert [error.pointer for error in refused.errors] == ["/title"]
    assert caller.call("read_incident", 404, wants=404).code is models.ErrorCode.NOT_FOUND

    wrong = models.LoginForm(username=ADMIN, password="wrong horse battery")
    assert nobody.call("log_in", body=wrong, wants=401).code is models.ErrorCode.WRONG_CREDENTIALS
    right = models.LoginForm(username=ADMIN, password=PASSWORD, grant_type="password")
    assert nobody.call("log_in", body=right).token_type == "bearer"
