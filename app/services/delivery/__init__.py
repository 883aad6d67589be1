"""The outbox on its way out: claim, throttle, send, record the outcome, fall back to the next channel.

May import policies (a fallback pages the administrators) and everything below them; nothing below imports it.
"""
