"""Settings that take several secrets, separated by commas, so that one can replace another while both work."""

from collections.abc import Callable

from pydantic import SecretStr

SEPARATOR = ","


def parts_of(setting: SecretStr) -> tuple[str, ...]:
    """The secrets of a setting, the one in use first. Spaces around a comma do not count."""
    value = setting.get_secret_value()
    if SEPARATOR not in value:
        return (value,)
    return tuple(part for given in value.split(SEPARATOR) if (part := given.strip()))


def no_part(name: str, setting: SecretStr) -> list[str]:
    """A sentence if a setting consists of commas only."""
    return [] if parts_of(setting) else [f"{name} has nothing between its commas: set a secret, or leave it empty"]


def weak_part(name: str, setting: SecretStr, weakness: Callable[[str], str | None]) -> list[str]:
    """A sentence for each secret with a weakness, which names its place and never its value."""
    parts = parts_of(setting)
    found = [(place, said) for place, part in enumerate(parts, 1) if (said := weakness(part)) is not None]
    if len(parts) == 1:
        return [f"{name} {said}" for _, said in found]
    return [f"secret {place} of the {len(parts)} in {name} {said}" for place, said in found]
