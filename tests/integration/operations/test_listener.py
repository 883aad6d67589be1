"""What a worker hears from PostgreSQL."""

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from sqlalchemy import text

from app.db.session import WAKE_CHANNEL, Database

MANY = 1100  # more descriptors than select() can watch


@pytest.fixture
def many_open_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * MANY), hard))
    with ExitStack() as stack:
        for _ in range(MANY):
            stack.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_open_files")
def test_it_is_heard_also_in_a_process_with_many_open_files(own_database: Database) -> None:
    def is_over() -> bool:
        """Asked whenever nothing was heard for a while: there is something to hear then."""
        with own_database.transaction() as session:
            session.execute(text(f"NOTIFY {WAKE_CHANNEL}, 'send'"))
        return False

    with closing(own_database.notifications(0.1, is_over)) as heard:
        assert next(heard) == "send"
