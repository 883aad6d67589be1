"""Follows the links from page to page."""

import re
from collections.abc import Iterator
from typing import Any

from tests.support.api import Api

NEXT = re.compile(r'<([^<>]+)>; rel="next"')


def next_url(api: Api, url: str) -> tuple[list[dict[str, Any]], str | None]:
    """A page, and where its link leads."""
    answer = api.client.get(url, headers=api.headers)
    assert answer.status_code == 200, answer.text
    link = NEXT.fullmatch(answer.headers.get("link", ""))
    assert (link is None) == ("link" not in answer.headers)
    return answer.json(), link[1] if link else None


def pages(api: Api, path: str) -> Iterator[list[dict[str, Any]]]:
    """Follow the Link headers to the end, which must come."""
    url: str | None = f"/v1{path}"
    for _ in range(50):
        assert url is not None
        page, url = next_url(api, url)
        yield page
        if url is None:
            return
    raise AssertionError("the links do not end")
