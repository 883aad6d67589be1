"""Imports modules that register themselves, such as channels, so that no list has to name them."""

from importlib import import_module
from pkgutil import walk_packages


def import_all(package: str) -> None:
    """Import every module of a package and of the folders in it. Raises what an import raises."""
    for found in walk_packages(import_module(package).__path__, f"{package}."):
        import_module(found.name)
