"""Records in the audit log how the settings in force change from one start to the next.

Of secrets it keeps fingerprints, which only this installation's SECRET_KEY can make. So when that key changes, nobody
can tell which other secrets changed with it: then only the key counts as changed.
"""

from collections.abc import Collection, Mapping
from typing import Any

import structlog
from sqlalchemy.orm import Session

from app.core.audit_actions import AuditAction
from app.crud import crud_recorded_settings
from app.services import audit_service

log = structlog.get_logger()

SIGNING_KEY = "SECRET_KEY"


def record(session: Session, role: str, in_force: Mapping[str, Any], secrets: Collection[str]) -> None:
    """Record what differs from the last start of a service or a worker, by the settings' names.

    Any number of processes may start at once: the first one records, the others find nothing new.
    """
    row = crud_recorded_settings.put(session, role)
    before = dict(row.shown)
    changes = {
        name: (before.get(name), in_force.get(name))
        for name in sorted(before.keys() | in_force.keys())
        if before.get(name) != in_force.get(name)
    }
    if not changes:
        return
    if SIGNING_KEY in changes and before:
        changes = {name: both for name, both in changes.items() if name == SIGNING_KEY or name not in secrets}
    crud_recorded_settings.keep(session, row, dict(in_force))
    audit_service.record(session, AuditAction.SETTINGS_CHANGED, "settings", role, changes=changes)
    if before:  # at the first start everything is new
        log.info("settings_changed", role=role, names=sorted(changes))
