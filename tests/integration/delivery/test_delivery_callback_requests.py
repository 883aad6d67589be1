"""Which reports of a provider are believed."""

from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy.orm import Session

from app.core.config import Settings
from app.core.vocabulary import DeliveryStatus
from app.integrations.channels.sms.twilio_callback import signature
from app.utils.service_locator import Services
from tests.support.answers import problem
from tests.support.operations import OPERATIONS
from tests.support.twilio import CALLBACK, PUBLIC_URL, TOKEN, only, report, signed


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"public_url": PUBLIC_URL, "twilio_auth_token": SecretStr(TOKEN)})


def test_the_signature_is_the_one_of_twilios_documentation() -> None:
    caller = "+14158675309"
    form = {"CallSid": "CA1234567890ABCDE", "Caller": caller, "Digits": "1234", "From": caller, "To": "+18005551212"}
    expected = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    for order in (form.items(), reversed(form.items())):
        assert signature("https://mycompany.com/myapp.php?foo=1&bar=2", list(order), "12345") == expected


def test_a_field_that_is_repeated_is_signed_once() -> None:
    """Of each name the set of its values, in order, as in Twilio's own twilio/request_validator.py."""
    expected = signature("https://mycompany.com/myapp.php", [("To", "1"), ("To", "2"), ("A", "3")], "12345")
    repeated = [("To", "2"), ("A", "3"), ("To", "1"), ("To", "2")]
    assert signature("https://mycompany.com/myapp.php", repeated, "12345") == expected
    assert expected == "pe/re4PezmnfFiIrtQVdxIXRZSU="


def test_the_documented_example_works_with_a_signature(
    accepted: dict[str, Any], client: TestClient, session: Session
) -> None:
    [operation] = [o for o in OPERATIONS if o.path == CALLBACK]
    content = operation.spec["requestBody"]["content"]["application/x-www-form-urlencoded"]
    form: dict[str, str] = content["example"]
    address = f"{CALLBACK}?key={only(session).idempotency_key}"
    answer = client.post(address, data=form, headers=signed(f"{PUBLIC_URL}{address}", form))
    assert (answer.status_code, answer.content) == (204, b"")
    assert only(session).status is DeliveryStatus.DELIVERED


@pytest.mark.parametrize("status", ["delivered", "queued"])
def test_a_message_that_is_not_ours_is_not_found(client: TestClient, status: str) -> None:
    problem(report(client, uuid4(), status), 404)


def test_a_key_that_is_none_is_refused(client: TestClient) -> None:
    problem(report(client, "seven", "delivered"), 422, pointer="key")


@pytest.mark.parametrize("headers", [{}, {"X-Twilio-Signature": ""}, {"X-Twilio-Signature": "AAAA"}])
def test_without_twilios_signature_nothing_is_believed(
    accepted: dict[str, Any], client: TestClient, session: Session, headers: dict[str, str]
) -> None:
    address = f"{CALLBACK}?key={only(session).idempotency_key}"
    problem(client.post(address, data={"MessageStatus": "failed"}, headers=headers), 403)
    problem(client.post(f"{CALLBACK}?key=seven", data={"MessageStatus": "failed"}, headers=headers), 403)
    assert only(session).status is DeliveryStatus.ACCEPTED


@pytest.mark.parametrize(
    ("public_url", "signed_url", "status"),
    [
        (PUBLIC_URL, f"{PUBLIC_URL}:443", 204),
        (f"{PUBLIC_URL}:443", PUBLIC_URL, 204),
        (f"{PUBLIC_URL}:8443", f"{PUBLIC_URL}:8443", 204),
        (f"{PUBLIC_URL}:8443", PUBLIC_URL, 204),
        (f"{PUBLIC_URL}:8443/", PUBLIC_URL, 204),
        ("http://192.0.2.7", "http://192.0.2.7:80", 204),
        ("https://[2001:db8::7]", "https://[2001:db8::7]:443", 204),
        ("https://[2001:db8::7]:8443/pager", "https://[2001:db8::7]/pager", 204),
        (PUBLIC_URL, f"{PUBLIC_URL}:8443", 403),
        (PUBLIC_URL, f"{PUBLIC_URL}:80", 403),
        (f"{PUBLIC_URL}:8443", f"{PUBLIC_URL}:443", 403),
        (PUBLIC_URL, "https://other.example.com", 403),
    ],
)
def test_twilio_may_sign_the_address_with_its_port_or_without(
    accepted: dict[str, Any],
    services: Services,
    application: FastAPI,
    session: Session,
    public_url: str,
    signed_url: str,
    status: int,
) -> None:
    settings = services.settings.model_copy(update={"public_url": public_url})
    application.state.services = replace(services, settings=settings)
    address, form = f"{CALLBACK}?key={only(session).idempotency_key}", {"MessageStatus": "delivered"}
    with TestClient(application) as client:
        answer = client.post(address, data=form, headers=signed(f"{signed_url}{address}", form))
    assert answer.status_code == status


def test_a_signature_is_good_for_its_own_message_and_words_only(
    accepted: dict[str, Any], client: TestClient, session: Session
) -> None:
    address = f"{CALLBACK}?key={only(session).idempotency_key}"
    form = {"MessageStatus": "delivered"}
    of_another = signed(f"{PUBLIC_URL}{CALLBACK}?key={uuid4()}", form)
    problem(client.post(address, data=form, headers=of_another), 403)
    of_other_words = signed(f"{PUBLIC_URL}{address}", form)
    problem(client.post(address, data={"MessageStatus": "failed"}, headers=of_other_words), 403)
    assert only(session).status is DeliveryStatus.ACCEPTED


@pytest.mark.parametrize(
    ("body", "status"), [(b"\xff=1", 400), (b"&".join([b"a=1"] * 201), 400), (b"MessageStatus", 403), (b"", 403)]
)
def test_what_is_no_form_is_refused(client: TestClient, body: bytes, status: int) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    problem(client.post(f"{CALLBACK}?key={uuid4()}", content=body, headers=headers), status)


def test_without_twilio_there_is_nothing_there(services: Services, application: FastAPI) -> None:
    settings = services.settings.model_copy(update={"twilio_auth_token": None})
    application.state.services = replace(services, settings=settings)
    with TestClient(application) as client:
        problem(report(client, uuid4(), "delivered"), 404)
