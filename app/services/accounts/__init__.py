"""Accounts: signing up, logging in and out, sessions, passwords and rights.

May import contacts, notifications and messages.
"""
