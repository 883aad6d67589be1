"""Answers questions: why was somebody paged or not, and what would a policy do? Writes nothing.

May import every other room; no other room imports it.
"""
