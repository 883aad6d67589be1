"""A process that changes things and has them audited: `python -m tests.support.audit_writer URL NUMBER CHANGES`."""

import random
import sys

from sqlalchemy import text

from app.core.audit_actions import AuditAction
from app.db.session import connect
from app.services import audit_service

ROWS = 5  # in the way of each other
TOUCH = text("UPDATE webhook_tokens SET worked_at = now() WHERE source = :source")


def run(url: str, number: int, changes: int) -> None:
    """Commit so many changes, and roll some others back. Each locks rows before and after it is recorded."""
    chance = random.Random(number)
    database = connect(url, pool_size=1)
    done = 0
    while done < changes:
        first, second = sorted(chance.sample(range(ROWS), 2))
        is_dropped = chance.random() < 0.1
        with database.session() as session:
            session.execute(TOUCH, {"source": str(first)})
            for _ in range(chance.choice((1, 1, 2))):
                audit_service.record(
                    session,
                    AuditAction.USER_UPDATED,
                    "user",
                    done,
                    changes={"email": (None, f"{done}@example.com")},
                    actor_id=number,
                )
            session.execute(TOUCH, {"source": str(second)})
            if is_dropped:
                session.rollback()
            else:
                session.commit()
                done += 1
    database.dispose()


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
