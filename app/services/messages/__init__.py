"""What messages say: the shipped wording, an administrator's templates, and the sandbox that renders them.

May import the timeline only; the facts of a message are handed in.
"""
