"""Senders of alerts: a folder each, whose `source.py` registers it and whose `parse` accepts any JSON object."""
