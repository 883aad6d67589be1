"""Escalation policies: how they are stored, checked and rolled out, and how their steps fire and act.

May import incidents and everything below them. Only plans what is sent, as rows of the outbox.
"""
