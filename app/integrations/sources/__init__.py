"""Vendors' alerts turned into signals: one module each, `parse` total over JSON objects."""

from collections.abc import Callable
from typing import Any

from app.services.alert import AlertSignal

Source = Callable[[dict[str, Any]], list[AlertSignal]]
