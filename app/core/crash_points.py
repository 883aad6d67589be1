"""Moments at which a process could die. In service nothing happens there; fault tests install what does."""

from collections.abc import Callable


def _nothing(_point: str) -> None:
    return


_hook: Callable[[str], None] = _nothing


def install(hook: Callable[[str], None]) -> None:
    """Have a function called with the point's name whenever one is reached."""
    global _hook  # noqa: PLW0603 - one process, one hook
    _hook = hook


def reach(point: str) -> None:
    """Say that the process has come to this point."""
    _hook(point)
