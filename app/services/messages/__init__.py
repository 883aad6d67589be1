"""What messages say: the shipped wording, an administrator's templates, and the sandbox that renders them.

May import the timeline only. What a message says is handed in as typed facts (`app.core.facts`).
"""
