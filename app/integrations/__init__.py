"""The world outside: sources of alerts, channels to people."""
