"""A list that counts how many of its items are asked for."""

from collections.abc import Iterator
from typing import Any


class Watched(list[Any]):
    """`asked` counts the items that were read one after the other."""

    asked = 0

    def __iter__(self) -> Iterator[Any]:
        for item in super().__iter__():
            self.asked += 1
            yield item
