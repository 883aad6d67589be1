"""The service takes all descriptors that the system lets it have: connections must not use up those for paging."""

import resource

import pytest

from tests.e2e.conftest import LiveServer

pytestmark = pytest.mark.e2e


def test_the_service_raises_its_descriptors(few_descriptors: int, live_server: LiveServer) -> None:
    assert resource.prlimit(live_server.pid, resource.RLIMIT_NOFILE) == (few_descriptors, few_descriptors)
