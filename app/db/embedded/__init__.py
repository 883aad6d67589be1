"""The embedded PostgreSQL: one server for all processes that share a data directory."""
