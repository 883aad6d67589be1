"""The table of rights in docs/access.md: what each kind of requester is answered on each route."""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "access.md"
TABLE = PAGE.read_text().partition("\n## Rights\n")[2]
ROW = re.compile(r"^\| `(?P<route>[A-Z]+ /\S*)` \|(?P<cells>.+)\|$", re.MULTILINE)
PEOPLE = ("anonymous", "viewer", "stranger", "paged", "assignee", "creator", "admin")
KEYS = ("read", "incidents:write", "policies:write", "admin")
COLUMNS = (*PEOPLE, *(f"key with {scope}" for scope in KEYS))
OUTCOMES = {401: "401", 403: "403", 404: "404"}


@dataclass(frozen=True)
class Row:
    """What one route answers to whom, by column."""

    route: str
    rights: dict[str, str]

    def __str__(self) -> str:
        return self.route


def rows() -> list[Row]:
    """Every row of the table."""
    found = [(match["route"], match["cells"].split("|")) for match in ROW.finditer(TABLE)]
    return [Row(route, dict(zip(COLUMNS, [cell.strip() for cell in cells], strict=True))) for route, cells in found]


def outcome_of(status: int) -> str:
    """The word of the table for a status. A defect is none of its words."""
    return OUTCOMES.get(status, "yes" if status < 500 else f"broken: {status}")
