"""The map of the code is true: what it names exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
PATHS = sorted(set(re.findall(r"`((?:app|alembic|tests|benchmarks|e2e)/[\w./-]*)`", PAGE)))
LINKS = sorted(set(re.findall(r"\]\(([^)#]+)\)", PAGE)))
FUNCTIONS = sorted({found for found in re.findall(r"\b(\w+_service)\.(\w+)", PAGE) if found[1] != "py"})
PACKAGES = sorted(f"{path.parent.relative_to(ROOT).as_posix()}/" for path in (ROOT / "app").rglob("*/__init__.py"))


@pytest.mark.parametrize("path", PATHS)
def test_a_path_on_the_page_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("link", LINKS)
def test_a_link_on_the_page_leads_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()


@pytest.mark.parametrize(("module", "function"), FUNCTIONS)
def test_a_function_on_the_page_is_defined_in_its_module(module: str, function: str) -> None:
    [file] = (ROOT / "app" / "services").rglob(f"{module}.py")
    assert re.search(rf"^def {function}\(", file.read_text(), re.MULTILINE)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_of_the_code_is_on_the_page(package: str) -> None:
    assert f"`{package}`" in PAGE


def test_the_page_names_many_paths_and_the_code_has_many_packages() -> None:
    assert len(PATHS) > 50
    assert len(PACKAGES) > 20
