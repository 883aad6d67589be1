"""Incidents from opening to resolution, the alerts that open them, and the people who work on them.

May import escalations, accounts, contacts, messages and the timeline. Knows nothing about policy actions or delivery.
"""
