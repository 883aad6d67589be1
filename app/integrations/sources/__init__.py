"""Senders of alerts, one folder each. Its `source.py` registers it; its `parse` accepts any JSON object."""
