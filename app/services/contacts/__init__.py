"""How people are reached: addresses, verification, preferences, quiet hours, and the people of a target.

May import notifications, messages and the timeline.
"""
