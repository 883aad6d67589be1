"""The OpenAPI document is complete, and good enough to generate a client from."""

from collections.abc import Iterator
from threading import Thread, current_thread
from typing import Any

import jsonschema_rs
import pytest
import schemathesis
from fastapi.testclient import TestClient

from app import __version__
from app.api.key_scopes import scope_for
from app.core.config import Settings
from app.main import create_app
from tests.support.operations import DOCUMENT, OPERATIONS, WITH_BODY, Operation

# Method, path, operation id (the name that a generated client gives it: it must not change) and statuses.
API = """
POST /v1/auth/signup sign_up 201 403 408 409 413 415 422 429 431 503
POST /v1/auth/login/access-token log_in 200 401 408 413 415 422 429 431 503
POST /v1/auth/login/refresh-token refresh_tokens 200 401 408 413 415 422 431 503
POST /v1/auth/logout log_out 200 401 408 413 415 422 431 503
POST /v1/auth/login/test-token check_token 200 401 403 422 431 503
POST /v1/auth/password-recovery/{email} recover_password 200 404 422 429 431 503
POST /v1/auth/reset-password reset_password 200 400 408 413 415 422 429 431 503
GET /v1/users/me read_me 200 401 403 422 431 503
PUT /v1/users/me update_me 200 401 403 408 409 413 415 422 429 431 503
POST /v1/users/me/email/verify verify_my_email 200 401 403 409 422 429 431 503
POST /v1/users/me/email/confirm confirm_my_email 200 401 403 408 409 413 415 422 429 431 503
GET /v1/users/directory search_directory 200 401 403 422 431 503
GET /v1/users list_users 200 401 403 422 431 503
POST /v1/users create_user 201 401 403 408 409 413 415 422 429 431 503
GET /v1/users/{user_id} read_user 200 401 403 404 422 431 503
PUT /v1/users/{user_id} update_user 200 401 403 404 408 409 413 415 422 429 431 503
DELETE /v1/users/{user_id} delete_user 200 401 403 404 409 422 431 503
GET /v1/users/me/sessions list_my_sessions 200 401 403 422 431 503
DELETE /v1/users/me/sessions/{session_id} revoke_my_session 200 401 403 404 422 431 503
POST /v1/api-keys create_api_key 201 401 403 408 413 415 422 429 431 503
GET /v1/api-keys list_api_keys 200 401 403 422 431 503
DELETE /v1/api-keys/{api_key_id} revoke_api_key 200 401 403 404 422 431 503
GET /v1/incidents list_incidents 200 401 403 422 431 503
POST /v1/incidents create_incident 201 401 403 408 409 413 415 422 431 503
GET /v1/incidents/{incident_id} read_incident 200 401 403 404 422 431 503
PUT /v1/incidents/{incident_id} update_incident 200 401 403 404 408 409 413 415 422 431 503
PATCH /v1/incidents/{incident_id} patch_incident 200 401 403 404 408 409 413 415 422 431 503
DELETE /v1/incidents/{incident_id} delete_incident 200 401 403 404 422 431 503
POST /v1/incidents/{incident_id}/acknowledge acknowledge_incident 200 401 403 404 408 409 413 415 422 431 503
POST /v1/incidents/{incident_id}/resolve resolve_incident 200 401 403 404 408 413 415 422 431 503
POST /v1/incidents/{incident_id}/reopen reopen_incident 200 401 403 404 408 409 413 415 422 431 503
POST /v1/incidents/{incident_id}/snooze snooze_incident 200 401 403 404 408 409 413 415 422 431 503
POST /v1/incidents/{incident_id}/assign assign_incident 200 401 403 404 408 413 415 422 431 503
DELETE /v1/incidents/{incident_id}/assign/{user_id} unassign_incident 200 401 403 404 422 431 503
GET /v1/incidents/{incident_id}/comments list_comments 200 401 403 404 422 431 503
POST /v1/incidents/{incident_id}/comments add_comment 200 401 403 404 408 409 413 415 422 431 503
GET /v1/incidents/{incident_id}/timeline list_timeline 200 401 403 404 422 431 503
GET /v1/incidents/{incident_id}/notifications list_incident_notifications 200 401 403 404 422 431 503
GET /v1/incidents/{incident_id}/why explain_incident 200 401 403 404 422 431 503
GET /v1/incidents/{incident_id}/escalation-events list_incident_escalation_events 200 401 403 404 422 431 503
POST /v1/incidents/{incident_id}/escalate escalate_incident_now 200 401 403 404 408 413 415 422 431 503
GET /v1/escalation/policies list_policies 200 401 403 422 431 503
POST /v1/escalation/policies create_policy 201 401 403 408 409 413 415 422 431 503
GET /v1/escalation/policies/{policy_id} read_policy 200 401 403 404 422 431 503
PUT /v1/escalation/policies/{policy_id} update_policy 200 401 403 404 408 409 413 415 422 431 503
DELETE /v1/escalation/policies/{policy_id} delete_policy 200 401 403 404 422 431 503
POST /v1/escalation/preview preview_escalation 200 401 403 408 413 415 422 431 503
GET /v1/escalation/incidents/{incident_id}/escalation-events list_escalation_events 200 401 403 404 422 431 503
POST /v1/escalation/incidents/{incident_id}/escalate escalate_incident 200 401 403 404 408 413 415 422 431 503
GET /v1/notification-preferences/me list_my_preferences 200 401 403 422 431 503
PUT /v1/notification-preferences/me order_my_channels 200 401 403 408 413 415 422 431 503
PUT /v1/notification-preferences/me/{channel} set_my_preference 200 401 403 404 408 413 415 422 431 503
POST /v1/notification-preferences/me/{channel}/verify verify_my_address 200 401 403 404 409 422 429 431 503
POST /v1/notification-preferences/me/{channel}/confirm confirm_my_address 200 401 403 404 408 413 415 422 429 431 503
POST /v1/notification-preferences/me/{channel}/test test_my_channel 200 401 403 404 409 422 429 431 503
GET /v1/notification-preferences/web-push-key read_web_push_key 200 401 403 404 422 431 503
GET /v1/notification-preferences/{user_id} list_preferences 200 401 403 404 422 431 503
PUT /v1/notification-preferences/{user_id}/{channel} set_preference 200 401 403 404 408 413 415 422 431 503
GET /v1/notification-templates list_templates 200 401 403 422 431 503
GET /v1/notification-templates/{channel}/{event} read_template 200 401 403 404 422 431 503
PUT /v1/notification-templates/{channel}/{event} set_template 200 401 403 404 408 413 415 422 431 503
DELETE /v1/notification-templates/{channel}/{event} reset_template 200 401 403 404 422 431 503
POST /v1/notification-templates/{channel}/{event}/preview preview_template 200 401 403 404 408 413 415 422 431 503
GET /v1/notifications list_notifications 200 401 403 422 431 503
POST /v1/notifications/callbacks/twilio receive_twilio_report 204 400 403 404 408 413 415 422 431 503
POST /v1/alerts/elastic receive_elastic_alert 201 401 408 409 413 422 429 431 503
GET /v1/workers list_workers 200 401 403 422 431 503
GET /v1/channels list_channels 200 401 403 422 431 503
POST /v1/channels/{channel}/reset reset_channel 200 401 403 404 408 413 415 422 431 503
GET /v1/log-level read_log_level 200 401 403 422 431 503
PUT /v1/log-level set_log_level 200 401 403 408 413 415 422 431 503
DELETE /v1/log-level reset_log_level 200 401 403 422 431 503
GET /v1/audit list_audit_entries 200 401 403 422 431 503
GET / read_root 200 431 503
GET /health/live read_liveness 200 431 503
GET /health/ready read_readiness 200 431 503
GET /health read_health 200 431 503
"""
PUBLIC = {
    *("sign_up", "log_in", "refresh_tokens", "log_out", "recover_password", "reset_password"),
    *("receive_twilio_report", "read_root", "read_health", "read_liveness", "read_readiness"),
}
CREATES = {"create_user", "create_incident", "create_policy", "add_comment"}
SETS_ALL = {"set_log_level"}  # what it is given replaces all that was there
LISTS = {
    *("search_directory", "list_my_sessions", "list_api_keys", "list_audit_entries"),
    *("list_users", "list_incidents", "list_policies", "list_notifications", "list_comments", "list_timeline"),
    *("list_incident_escalation_events", "list_escalation_events", "list_incident_notifications"),
    "list_audit_entries",
}
# What JSON Schema 2020-12 and OpenAPI 3.1 know, of what is used here. Anything else is without effect: a typing error.
KEYWORDS = {
    *("$ref", "type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "oneOf"),
    *("minimum", "maximum", "exclusiveMinimum", "minLength", "maxLength", "pattern", "format", "minItems", "maxItems"),
    *("title", "description", "examples", "default", "discriminator"),
}
PROBLEM = "#/components/schemas/Problem"

everywhere = pytest.mark.parametrize("operation", OPERATIONS, ids=str)


def operation_id(operation: Operation) -> str:
    return str(operation.spec["operationId"])


def named(wanted: str) -> Operation:
    [found] = [operation for operation in OPERATIONS if operation_id(operation) == wanted]
    return found


def success(operation: Operation) -> dict[str, Any]:
    [answer] = [answer for status, answer in operation.spec["responses"].items() if status.startswith("2")]
    found: dict[str, Any] = answer
    return found


def with_parameter(name: str) -> set[str]:
    return {operation_id(o) for o in OPERATIONS if name in [p["name"] for p in o.spec.get("parameters", [])]}


def schemas_in(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A schema and every schema inside it."""
    yield node
    inside = [*node.get("properties", {}).values(), *node.get("anyOf", []), *node.get("oneOf", [])]
    for key in ("items", "additionalProperties"):
        inside += [node[key]] if isinstance(node.get(key), dict) else []
    for schema in inside:
        yield from schemas_in(schema)


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def validate(value: Any, schema: dict[str, Any]) -> None:
    jsonschema_rs.validate({**schema, "components": DOCUMENT["components"]}, value)


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Strictly: a `format` counts as well."""
    whole = {**schema, "components": DOCUMENT["components"]}
    return jsonschema_rs.is_valid(whole, value, validate_formats=True)


@pytest.mark.slow
def test_the_document_is_valid_openapi_3_1(client: TestClient) -> None:
    answer = client.get("/v1/openapi.json")
    document = answer.json()
    assert document == DOCUMENT
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"] == __version__
    # Relative to the server it is right wherever the service runs, but the specification's schema wants a whole URL.
    flow = document["components"]["securitySchemes"]["OAuth2PasswordBearer"]["flows"]["password"]
    flow["tokenUrl"] = f"http://localhost{flow['tokenUrl']}"
    schemathesis.openapi.from_dict(document).validate()


def test_the_document_is_made_once_and_not_on_the_event_loop() -> None:
    made_by: list[Thread] = []
    app = create_app(Settings(_env_file=None, log_level="WARNING"))
    app.state.services = object()  # nothing is started: nothing needs it

    def make() -> dict[str, Any]:
        made_by.append(current_thread())
        return {"openapi": "3.1.0"}

    app.openapi = make  # type: ignore[method-assign]  # as FastAPI's docs do
    with TestClient(app) as running:
        assert running.portal is not None
        loop = running.portal.call(current_thread)
        assert [running.get("/v1/openapi.json").json() for _ in range(2)] == [{"openapi": "3.1.0"}] * 2
        assert running.head("/v1/openapi.json").is_success
    [thread] = made_by
    assert thread is not loop


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    used = set(references(DOCUMENT))
    assert used == {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_a_schema_uses_only_words_that_mean_something(name: str) -> None:
    schema = DOCUMENT["components"]["schemas"][name]
    jsonschema_rs.meta.validate(schema)
    assert {keyword for part in schemas_in(schema) for keyword in part} <= KEYWORDS
    assert schema["description"]
    for example in schema.get("examples", []):
        validate(example, schema)


def test_the_operations_their_names_and_their_statuses_are_these() -> None:
    listed = [f"{o} {operation_id(o)} {' '.join(o.spec['responses'])}" for o in OPERATIONS]
    assert listed == API.strip().splitlines()
    assert len(set(map(operation_id, OPERATIONS))) == len(OPERATIONS)
    assert not [path for path in DOCUMENT["paths"] if path.endswith("/") and path != "/"]


@everywhere
def test_an_operation_says_what_it_does(operation: Operation) -> None:
    summary, description = operation.spec["summary"], operation.spec["description"]
    assert 5 < len(summary) <= 80
    assert summary[0].isupper()
    assert not summary.endswith(".")
    assert description.endswith(".")
    [tag] = operation.spec["tags"]
    assert tag in [known["name"] for known in DOCUMENT["tags"]]


@everywhere
def test_a_parameter_says_what_it_is_for(operation: Operation) -> None:
    for parameter in operation.spec.get("parameters", []):
        assert parameter["description"], parameter["name"]
        assert parameter["in"] != "path" or parameter["schema"]["examples"]


@everywhere
def test_an_error_is_a_problem_with_an_example_of_it(operation: Operation) -> None:
    for status, answer in operation.spec["responses"].items():
        if status < "400":
            continue
        assert answer["description"]
        [(media_type, content)] = answer["content"].items()
        assert (media_type, content["schema"]) == ("application/problem+json", {"$ref": PROBLEM})
        assert content["examples"]
        for example in content["examples"].values():
            assert example["value"]["status"] == int(status)
            validate(example["value"], content["schema"])
    assert named("log_in").spec["responses"]["429"]["headers"].keys() == {"Retry-After"}


@everywhere
def test_what_needs_a_login_says_so(operation: Operation) -> None:
    scope = scope_for(operation.method, operation.path)
    keys: list[dict[str, list[str]]] = [{"ApiKey": [scope]}] if scope else []
    expected: list[dict[str, list[str]]] | None = [{"OAuth2PasswordBearer": []}, *keys]
    if operation_id(operation) in PUBLIC:
        expected = None
    if operation_id(operation) == "receive_elastic_alert":
        expected = [{"WebhookBearer": []}, {"WebhookBasic": []}, {"WebhookToken": []}]
    assert operation.spec.get("security") == expected


def test_the_security_schemes_are_logins_keys_and_those_of_webhooks() -> None:
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert schemes == {
        "OAuth2PasswordBearer": {
            "type": "oauth2",
            "description": schemes["OAuth2PasswordBearer"]["description"],
            "flows": {"password": {"tokenUrl": "/v1/auth/login/access-token", "scopes": {}}},
        },
        "ApiKey": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "ims_...",
            "description": schemes["ApiKey"]["description"],
        },
        "WebhookBearer": {"type": "http", "scheme": "bearer"},
        "WebhookBasic": {"type": "http", "scheme": "basic"},
        "WebhookToken": {"type": "apiKey", "in": "header", "name": "X-Webhook-Token"},
    }


def test_logging_in_takes_json_and_the_oauth2_form_with_the_same_fields() -> None:
    content = named("log_in").spec["requestBody"]["content"]
    assert set(content) == {"application/json", "application/x-www-form-urlencoded"}
    json, form = (DOCUMENT["components"]["schemas"][name] for name in ("Credentials", "LoginForm"))
    assert [body["schema"]["$ref"].rpartition("/")[2] for body in content.values()] == ["Credentials", "LoginForm"]
    for word in ("properties", "required", "additionalProperties", "examples"):
        assert json[word] == form[word]


def test_what_creates_can_be_repeated_safely() -> None:
    assert with_parameter("Idempotency-Key") == CREATES
    for name in CREATES:
        assert "Idempotency-Replayed" in success(named(name))["headers"]


def test_every_long_list_has_pages() -> None:
    arrays = {operation_id(o) for o in OPERATIONS if o.method == "GET" and "Link" in success(o).get("headers", {})}
    assert with_parameter("skip") == with_parameter("limit") == with_parameter("cursor") == arrays == LISTS
    [limit] = [p["schema"] for p in named("list_users").parameters("query") if p["name"] == "limit"]
    assert (limit["default"], limit["maximum"]) == (100, 500)


@pytest.mark.parametrize(
    "operation", [o for o in WITH_BODY if o.method in ("PUT", "PATCH") and operation_id(o) not in SETS_ALL], ids=str
)
def test_a_partial_update_has_no_defaults_that_a_client_could_fill_in(operation: Operation) -> None:
    name = operation.schema["$ref"].rpartition("/")[2]
    schema = DOCUMENT["components"]["schemas"][name]
    assert "required" not in schema
    assert not [field for field, details in schema["properties"].items() if "default" in details]


def test_an_address_tells_the_methods_that_are_documented(client: TestClient) -> None:
    told, documented = {}, {}
    for path, operations in DOCUMENT["paths"].items():
        answer = client.options(path)
        assert answer.status_code == 405
        told[path] = set(answer.headers["Allow"].split(", "))
        documented[path] = {method.upper() for method in operations}
    for path in ("/health", "/health/live", "/health/ready"):
        documented[path].add("HEAD")  # for load balancers: as GET
    # A word in place of an id also leads to what takes an id.
    for path in ("/v1/users/me", "/v1/users/directory"):
        assert told.pop(path) == documented.pop(path) | documented["/v1/users/{user_id}"]
    assert told == documented


def shown_in(node: Any, place: str = "") -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Every example of the document with where it is and the schema that it must fit."""
    if isinstance(node, list):
        for index, value in enumerate(node):
            yield from shown_in(value, f"{place}/{index}")
    if not isinstance(node, dict):
        return
    schema = node.get("schema")
    if isinstance(schema, dict):  # a parameter, a header or a body
        values = [node["example"]] if "example" in node else []
        for value in [*values, *(example["value"] for example in node.get("examples", {}).values())]:
            yield place, value, schema
    elif isinstance(node.get("examples"), list):
        for value in node["examples"]:
            yield place, value, {key: word for key, word in node.items() if key != "examples"}
    for key, value in node.items():
        if key not in ("example", "examples", "enum", "default", "const"):
            yield from shown_in(value, f"{place}/{key}")


def test_every_example_of_the_document_fits_its_schema() -> None:
    shown = list(shown_in(DOCUMENT))
    assert len(shown) > 500
    wrong = [(place, value) for place, value, schema in shown if not fits(value, schema)]
    assert wrong == []


def test_every_default_of_the_document_fits_its_schema() -> None:
    nodes = [node for schema in DOCUMENT["components"]["schemas"].values() for node in schemas_in(schema)]
    nodes += [parameter["schema"] for operation in OPERATIONS for parameter in operation.spec.get("parameters", [])]
    assert [node for node in nodes if "default" in node and not fits(node["default"], node)] == []


@pytest.mark.parametrize(
    ("canonical", "alias"),
    [("escalate_incident", "escalate_incident_now"), ("list_escalation_events", "list_incident_escalation_events")],
)
def test_of_two_paths_for_one_thing_one_is_canonical(canonical: str, alias: str) -> None:
    assert "canonical path" in named(canonical).spec["description"]
    assert "deprecated" not in named(canonical).spec
    assert named(alias).spec["deprecated"] is True
    assert f"The same as `{named(canonical)}`." in named(alias).spec["description"]
    assert named(alias).path in named(canonical).spec["description"]
    assert {id_ for id_ in map(operation_id, OPERATIONS) if named(id_).spec.get("deprecated")} == {
        "escalate_incident_now",
        "list_incident_escalation_events",
    }


def test_every_request_may_bring_its_id() -> None:
    assert with_parameter("X-Request-ID") == set(map(operation_id, OPERATIONS))
