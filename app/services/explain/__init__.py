"""Answers for people: why somebody was paged or was not, and what a policy would do. Nothing is written here.

May import every other room; no other room imports it.
"""
