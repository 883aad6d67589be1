"""A channel is found because its file is there, and says itself where it stands among the others."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from app.core import channel as channels
from app.core.channel import Channel
from app.core.config import ChannelSettings, Settings
from app.integrations.discovery import import_all


@dataclass(frozen=True)
class Pigeon:
    """A channel that is never set up."""

    order: int
    name: str
    settings_type: type[ChannelSettings] = ChannelSettings
    own_address: Literal["email", "phone_number"] | None = None
    is_optional: bool = False
    needs_provider: bool = True
    has_status_updates = False
    shows_html: bool = False
    max_body: int | None = None

    def clean_address(self, address: str, own: ChannelSettings) -> str:
        return address

    def set_up(self, settings: Settings, own: ChannelSettings) -> Channel | None:
        return None


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable package, whose modules are forgotten after the test."""
    folder = tmp_path / "lofts"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "lofts"]:
        del sys.modules[name]


def test_every_file_and_every_folder_of_a_package_is_imported(package: Path) -> None:
    (package / "pigeon.py").touch()
    (package / "owl").mkdir()
    for name in ("__init__.py", "channel.py"):
        (package / "owl" / name).touch()
    import_all("lofts")
    assert {"lofts.pigeon", "lofts.owl.channel"} <= set(sys.modules)


@pytest.mark.parametrize("broken", ["pigeon.py", "owl/__init__.py"])
def test_a_file_that_cannot_be_imported_keeps_the_service_from_starting(package: Path, broken: str) -> None:
    (package / broken).parent.mkdir(exist_ok=True)
    (package / broken).write_text("import a_module_that_does_not_exist")
    with pytest.raises(ImportError, match="a_module_that_does_not_exist"):
        import_all("lofts")


def test_channels_stand_in_the_order_that_they_declare() -> None:
    registry = channels.registry()
    for order, name in ((30, "raven"), (10, "pigeon"), (20, "swift"), (20, "owl")):
        registry.add(Pigeon(order, name))
    assert registry.names() == ["pigeon", "owl", "swift", "raven"]
    assert [channel.name for channel in registry] == registry.names()


def test_two_channels_of_one_name_are_refused() -> None:
    registry = channels.registry()
    registry.add(Pigeon(1, "pigeon"))
    with pytest.raises(ValueError, match="two channels named pigeon"):
        registry.add(Pigeon(2, "pigeon"))
