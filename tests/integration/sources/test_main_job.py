"""The main job on real input: alert, incident, policy, page by SMTP, acknowledgement."""

from contextlib import ExitStack
from datetime import timedelta
from email.message import Message
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from fastapi.testclient import TestClient
from sqlalchemy import text

from app.core.config import Settings
from app.db.session import connect
from app.main import create_app
from app.utils.service_locator import build_services
from app.worker import Jobs
from tests.support.world import ADMIN, PASSWORD, add_admins

SAMPLE = Path(__file__).parents[2] / "samples" / "elastic" / "kibana-nested-active.json"
POLICY = {
    "name": "Payments",
    "conditions": {"service": "payments"},
    "steps": [
        {"delay_minutes": minutes, "actions": [{"type": "notify", "target": "admins", "channels": ["email"]}]}
        for minutes in (5, 15)
    ],
}


class Mailbox(MessageHandler):
    """Keeps the mails that an SMTP server took."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Message] = []

    def handle_message(self, message: Message) -> None:
        self.mails.append(message)


class World:
    """The service on a database of its own, whose clock the test moves for every connection."""

    def __init__(self, url: str, settings: Settings, exits: ExitStack) -> None:
        self._url = url
        self._database = connect(url, pool_size=5, overflow=5)
        exits.callback(self._database.dispose)
        services = build_services(settings, self._database)
        add_admins(self._database)
        self._jobs = Jobs(services.delivery, services.paging, width=4)
        exits.callback(self._jobs.close)
        self.api = exits.enter_context(TestClient(create_app(settings, services)))
        self._log_in()

    def _log_in(self) -> None:
        answer = self.api.post("/v1/auth/login/access-token", json={"username": ADMIN, "password": PASSWORD})
        self.api.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def at(self, **after: float) -> None:
        """Move the clock to so long after the beginning, and let the worker tick."""
        seconds = f"{timedelta(**after).total_seconds()} seconds"
        with self._database.transaction() as session:
            name = session.execute(text("SELECT current_database()")).scalar_one()
            session.execute(text(f"ALTER DATABASE \"{name}\" SET incidents.clock_offset = '{seconds}'"))
        self._database.dispose()  # new connections have the new time
        self._jobs.plan()
        self._jobs.send()


@pytest.fixture
def mailbox(stack: ExitStack, free_port: int) -> Mailbox:
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port, ready_timeout=60)
    controller.start()
    stack.callback(controller.stop)
    return mailbox


@pytest.fixture
def world(own_url: str, tmp_path: Path, free_port: int, stack: ExitStack, mailbox: Mailbox) -> World:
    settings = Settings(
        _env_file=None,
        data_dir=tmp_path,
        bcrypt_rounds=4,
        log_level="WARNING",
        smtp_host="127.0.0.1",
        smtp_port=free_port,
        smtp_tls="none",
    )
    return World(own_url, settings, stack)


def test_an_alert_pages_by_mail_until_somebody_acknowledges(world: World, mailbox: Mailbox) -> None:
    assert world.api.post("/v1/escalation/policies", json=POLICY).status_code == 201
    alert = world.api.post("/v1/alerts/elastic", content=SAMPLE.read_bytes()).json()
    assert alert["status"] == "incident_created"
    world.at(minutes=4)
    assert mailbox.mails == []
    world.at(minutes=5)
    [mail] = mailbox.mails
    assert mail["To"] == ADMIN
    assert mail["Subject"].startswith("[CRITICAL] payments:")
    incident = f"/v1/incidents/{alert['incident_id']}"
    assert world.api.post(f"{incident}/acknowledge").json()["next_escalation_at"] is None
    world.at(minutes=20)
    assert len(mailbox.mails) == 1
    events = world.api.get(f"{incident}/escalation-events").json()
    assert [(event["step"], event["status"]) for event in events] == [(0, "completed")]
    [delivery] = world.api.get("/v1/notifications").json()
    assert (delivery["status"], [a["outcome"] for a in delivery["attempts"]]) == ("accepted", ["accepted"])


def test_without_an_acknowledgement_the_next_step_pages_again(world: World, mailbox: Mailbox) -> None:
    world.api.post("/v1/escalation/policies", json=POLICY)
    world.api.post("/v1/alerts/elastic", content=SAMPLE.read_bytes())
    world.at(minutes=5)
    world.at(minutes=15)
    assert len(mailbox.mails) == 2
