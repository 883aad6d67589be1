"""Escalation policies: how they are kept, checked and rolled out, and how their steps fire and act.

May import incidents and everything below them; what is sent is only planned here, as rows of the outbox.
"""
