"""Twilio's part: it signs what it reports of a message."""

from urllib.parse import urlencode
from uuid import UUID

from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.integrations.channels.sms.twilio_callback import signature
from app.models import Notification

CALLBACK = "/v1/notifications/callbacks/twilio"
PUBLIC_URL = "https://pager.example.com"
TOKEN = "12345"
SID = "SM0123456789abcdef0123456789abcdef"


def only(session: Session) -> Notification:
    session.expire_all()
    return session.scalars(select(Notification)).one()


def signed(url: str, form: dict[str, str]) -> dict[str, str]:
    """What Twilio sends along."""
    return {"X-Twilio-Signature": signature(url, list(form.items()), TOKEN)}


def report(client: TestClient, key: UUID | str, status: str, **fields: str) -> Response:
    form = {"MessageSid": SID, "MessageStatus": status, "To": "+15550100", **fields}
    query = urlencode({"key": str(key)})
    return client.post(f"{CALLBACK}?{query}", data=form, headers=signed(f"{PUBLIC_URL}{CALLBACK}?{query}", form))
