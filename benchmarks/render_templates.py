"""Renders the templates that cost most for what they are charged, and prints how long the slowest of them take.

Run it with `make bench-templates`. What an administrator writes may hold a worker for no longer than the limit.
"""

import contextlib
import sys
import time
from collections.abc import Mapping
from typing import Any

from app.services.messages.template import TemplateError, render
from tests.support.hard_templates import hard_templates

SHOWN = 5
REQUIRED_SECONDS = 2.0
USUAL = "{{ incident.title }} {{ incident.severity | upper }}\n" * 10
FACTS = {"incident": {"title": "Disk full", "severity": "high"}}
RENDERINGS = 1000


def main() -> int:
    """Measure, print; 1 if a template takes longer than the limit."""
    took = sorted((_seconds(source, facts), source[:100]) for source, facts in hard_templates())
    print(f"{len(took)} hard templates; the slowest take (ms of processor time):")
    for seconds, source in reversed(took[-SHOWN:]):
        print(f"{seconds * 1000:>7.0f}  {source}")
    render(USUAL, FACTS)
    usual = sum(_seconds(USUAL, FACTS) for _ in range(RENDERINGS)) / RENDERINGS
    print(f"a usual template, once compiled: {usual * 1_000_000:.0f} µs")
    return int(took[-1][0] > REQUIRED_SECONDS)


def _seconds(source: str, facts: Mapping[str, Any]) -> float:
    started = time.thread_time()
    with contextlib.suppress(TemplateError):
        render(source, facts)
    return time.thread_time() - started


if __name__ == "__main__":
    sys.exit(main())
