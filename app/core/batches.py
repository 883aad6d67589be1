"""The outcome of an item that a batch skips because another transaction has locked its row."""


class Locked:
    """Marks an item that was skipped. It runs again on its own, and waits for the lock."""


LOCKED = Locked()
