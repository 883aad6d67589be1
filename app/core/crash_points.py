"""Points at which fault tests kill the process. They do nothing in production."""

from collections.abc import Callable


def _nothing(_point: str) -> None:
    return


_hook: Callable[[str], None] = _nothing


def install(hook: Callable[[str], None]) -> None:
    """Install a function that is called with the name of each point reached."""
    global _hook  # noqa: PLW0603 - one process, one hook
    _hook = hook


def reach(point: str) -> None:
    """Report that the process has reached a point."""
    _hook(point)
