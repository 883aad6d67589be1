"""What the system does.

A module without a suffix decides: pure, the time passed in. Its `_service` twin does: it loads, asks the decider,
records, and never commits or sends.
"""
