"""The domain logic.

A module without a suffix decides: it is pure, and the time is an argument. Its `_service` twin acts: it loads, asks
the decider and records. It never commits or sends.
"""
