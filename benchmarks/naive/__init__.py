"""The yardstick: the same work and answers, as FastAPI's and SQLAlchemy's tutorials would have it written.

Nothing here is slowed down, and nothing is tuned beyond what the tutorials say: sync endpoints, a session by a `yield`
dependency, a pool of 20 + 20, python-jose and the user loaded for each request, ORM models with relationships, the
active policies loaded and matched in Python, `commit`, `refresh`, a response model.
"""
