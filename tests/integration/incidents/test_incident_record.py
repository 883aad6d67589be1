"""An incident is read with its record: who works on it, what was written, what happened."""

import re

from fastapi.testclient import TestClient

from app.db.session import Database
from tests.support.api import Api
from tests.support.scenario import Opener
from tests.support.statements import statements
from tests.support.world import Person


def test_an_incident_is_loaded_once_with_its_record(
    client: TestClient, database: Database, user: Person, open_incident: Opener
) -> None:
    api, incident_id = Api(client, user.headers), open_incident()["id"]
    api.call(f"POST /incidents/{incident_id}/comments", {"content": "Failover is running."}, wants=200)
    api.call(f"POST /incidents/{incident_id}/assign", {"user_id": user.id})
    with statements(database) as seen:
        read = api.incident(incident_id)
    tables = [table for statement in seen for table in re.findall(r"FROM (incident\w+)", statement)[:1]]
    assert tables == ["incidents", "incident_assignments", "incident_comments"]
    assert ([c["content"] for c in read["comments"]], len(read["assignments"])) == (["Failover is running."], 1)
