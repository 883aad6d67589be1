"""Bundles too long for their channel, and what a reader of the text learns of them."""

import re
from collections.abc import Sequence
from dataclasses import replace

from app.core.facts import BundleFacts
from tests.support.envelopes import LINK, page_facts

FIRST = 10**12 + 1  # 200 of them are too much for any of the channels


def numbers(count: int) -> list[int]:
    """Odd ones, so that none follows another and no range is shorter."""
    return [FIRST + 2 * place for place in range(count)]


def facts_of(ids: Sequence[int]) -> BundleFacts:
    return BundleFacts(tuple(replace(page_facts(id_), link=f"{LINK}{id_}") for id_ in ids))


def body_of(ids: list[int], separator: str = ", ") -> str:
    return separator.join(f"#{id_}" for id_ in ids)


def accounted(text: str, ids: list[int]) -> int:
    """How many incidents the text names, from the first on, and counts. It must end with how many it counts."""
    names, found, rest = text.rpartition(" and ")
    assert (found, rest.endswith(" more")) == (" and ", True), text[-40:]
    named = [int(number) for number in re.findall(r"#([0-9]+)", names)]
    assert named == ids[: len(named)]
    assert names.endswith(f"#{named[-1]}")
    return len(named) + int(rest.removesuffix(" more"))
