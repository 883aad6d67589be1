"""Outcomes of items that a batch does not finish."""


class Unfinished:
    """What stands for the answer."""


class Locked(Unfinished):
    """Marks an item whose row another transaction has locked. It runs again on its own, and waits for the lock."""


class Alone(Unfinished):
    """Marks an item that is too large to share a batch. It takes the ordinary way."""


LOCKED = Locked()
ALONE = Alone()
