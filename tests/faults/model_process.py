"""Runs a share of the random sequences: `python -m tests.faults.model_process URL PART SEQUENCES MOVES`."""

import logging
import sys
import tempfile
from pathlib import Path

import structlog

from app.core.config import Settings
from app.db.session import connect
from app.schemas.user import UserCreate
from app.services.accounts import user_service
from app.utils.service_locator import build_services
from app.utils.startup import make_admin
from tests.faults.conformance import paging_of, run_sequences
from tests.faults.model import ADMINS

PASSWORD = "correct horse battery"


def main(url: str, part: str, sequences: int, moves: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    database = connect(url, pool_size=2)
    with tempfile.TemporaryDirectory() as directory:
        settings = Settings(_env_file=None, data_dir=Path(directory), bcrypt_rounds=4)
        passwords = build_services(settings, database).auth.passwords
        with database.transaction() as session:
            admin = make_admin(session, "admin@example.com", PASSWORD, passwords).user
            people = {ADMINS: admin.id}
            for name in ("one", "two"):
                new = UserCreate(email=f"{name}@example.com", password=PASSWORD)
                people[name] = user_service.create(session, new, passwords).id
        paging = paging_of(settings, database)
    seeds = [f"{part}-{number}" for number in range(sequences)]
    made = run_sequences(database, paging, people, seeds, moves)
    database.dispose()
    sys.stdout.write(f"{dict(made)}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
