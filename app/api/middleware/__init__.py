"""Middleware around every request. Plain ASGI: no thread, no copy of the body."""
