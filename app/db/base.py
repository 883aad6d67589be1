"""Base with every model imported, so that Alembic sees the whole schema."""

import app.models
from app.db.base_class import Base

__all__ = ["Base", "app"]
