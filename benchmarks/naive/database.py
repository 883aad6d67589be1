"""The engine and the session that a request gets."""

import os
from collections.abc import Iterator

from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

engine = create_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://"), pool_size=20, max_overflow=20
)
SessionLocal = sessionmaker(engine)


class Base(DeclarativeBase):
    """Every table's base."""


def get_session() -> Iterator[Session]:
    """One session for each request."""
    with SessionLocal() as session:
        yield session
