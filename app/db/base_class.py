"""The declarative base: names of constraints by convention, and the columns that many tables share."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import DateTime, Enum, MetaData, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of every table. Times are timezone-aware, dictionaries are JSONB."""

    metadata = MetaData(naming_convention=CONVENTION)
    type_annotation_map = {datetime: DateTime(timezone=True), dict[str, Any]: JSONB, list[Any]: JSONB}


class Created:
    """Adds `created_at`, set by the database."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Timestamps(Created):
    """Adds `created_at` and `updated_at`, set by the database; services move `updated_at`."""

    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


def words(enum: type[StrEnum], *, length: int) -> Enum:
    """A column type that stores the enum's values as text, with a CHECK on the set."""
    return Enum(
        enum,
        native_enum=False,
        create_constraint=True,
        length=length,
        values_callable=lambda members: [member.value for member in members],
        name=_constraint_name(enum),
    )


def _constraint_name(enum: type[StrEnum]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", enum.__name__).lower()
