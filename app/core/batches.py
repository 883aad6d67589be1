"""What a function that does something for many at once answers for one of them that it had to leave out."""


class Locked:
    """The outcome of an item whose row another transaction has locked."""


LOCKED = Locked()
