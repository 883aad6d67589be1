"""The figures of a run: what each row of the table of faults measured, for the person who reads the end of it."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Figures:
    """What the tests of this run measured, by row."""

    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def add(self, row: str, **measured: Any) -> None:
        self.rows.append((row, measured))

    def lines(self) -> list[str]:
        return [f"{row:<28} {_said(measured)}" for row, measured in self.rows]


def _said(measured: dict[str, Any]) -> str:
    return "  ".join(f"{name}={_rounded(value)}" for name, value in measured.items())


def _rounded(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def quantile(values: list[float], share: float) -> float:
    """The smallest value that at least this share of them does not exceed. 0 of no values."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0
