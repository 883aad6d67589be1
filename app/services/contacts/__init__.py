"""How people are reached: addresses, verification, preferences, quiet hours, and whom a target means.

May import notifications, messages and the timeline.
"""
