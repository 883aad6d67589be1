"""Sends the outbox: claim, throttle, send, record the outcome, fall back to the next channel.

May import policies (a fallback pages the administrators) and everything below them. Nothing below imports it.
"""
