"""A registry by name: of channels, of alert sources."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, Protocol, TypeVar


class Named(Protocol):
    """What can be registered."""

    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=Named)
Registered = TypeVar("Registered")


class Registry(Generic[Item]):
    """Items by name, sorted by `order`. `kind` is the plural used in errors."""

    def __init__(self, kind: str, *, order: Callable[[Item], Any] = lambda item: item.name) -> None:
        self._kind = kind
        self._order = order
        self._items: dict[str, Item] = {}

    def add(self, item: Item) -> None:
        if item.name in self._items:
            raise ValueError(f"there are two {self._kind} named {item.name}")
        self._items = {one.name: one for one in sorted((*self, item), key=self._order)}

    def register(self, item: type[Registered]) -> type[Registered]:
        """Decorates a class: an instance of it is added."""
        self.add(item())  # type: ignore[arg-type]  # mypy cannot say "a class whose instances satisfy"
        return item

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __getitem__(self, name: str) -> Item:
        return self._items[name]

    def get(self, name: str) -> Item | None:
        """The item, or None if this version does not have it."""
        return self._items.get(name)

    def names(self) -> list[str]:
        return list(self._items)
