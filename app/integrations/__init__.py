"""The outside world: sources of alerts, and channels to people."""
