"""The links in the documents lead somewhere: each file exists, and each heading."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
LINKS = sorted(
    {
        (document.relative_to(ROOT).as_posix(), link)
        for document in DOCUMENTS
        for link in LINK.findall(document.read_text())
        if not link.startswith(("http://", "https://"))
    }
)


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of a document's headings, and those that it sets itself."""
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([\w-]+)">', prose))


@pytest.mark.parametrize(("document", "link"), LINKS)
def test_a_link_leads_to_a_file_and_a_heading_that_exist(document: str, link: str) -> None:
    name, _, anchor = link.partition("#")
    target = (ROOT / document).parent / name if name else ROOT / document
    assert target.exists()
    assert not anchor or anchor in anchors(target.read_text())


def test_the_documents_have_many_links() -> None:
    assert len(LINKS) > 25
