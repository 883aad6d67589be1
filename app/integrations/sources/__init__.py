"""Vendors' alerts turned into signals: one module each, `parse` total over JSON objects."""
