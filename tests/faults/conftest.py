"""What the rows of the table of faults share. `--scale 1` uses the documented numbers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.figures import Figures
from tests.faults.provider import Provider
from tests.faults.rig import Rig
from tests.faults.server import Server, Store

DEFAULT_SCALE = 0.05
STALL_SECONDS = 10  # at a smaller scale, which machines run that do much else besides
FIGURES = pytest.StashKey[Figures]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--scale", type=float, default=DEFAULT_SCALE, help="share of the documented numbers of faults")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = Figures()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash[FIGURES].lines()
    if lines:
        terminalreporter.section("faults")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def scale(pytestconfig: pytest.Config) -> float:
    share: float = pytestconfig.getoption("--scale", default=DEFAULT_SCALE)
    return share


@pytest.fixture(scope="session")
def scaled(scale: float) -> Callable[..., int]:
    """Scales one of the documented numbers, not below `least`."""
    return lambda number, least=1: max(round(number * scale), least)


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> Figures:
    return pytestconfig.stash.setdefault(FIGURES, Figures())


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of most rows. Its data need not survive the machine."""
    server = Server(tmp_path_factory.mktemp("server"), is_durable=False)
    yield server
    server.stop()


@pytest.fixture
def durable_server(tmp_path: Path) -> Iterator[Server]:
    """A server for a row that harms it: what it has said is committed must survive."""
    server = Server(tmp_path / "durable", is_durable=True)
    yield server
    server.stop()


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.stop()


@pytest.fixture
def store(server: Server) -> Iterator[Store]:
    store = server.new_store()
    yield store
    store.close()


@pytest.fixture
def stall_seconds(scale: float) -> float:
    """By how much a limit of time may be missed."""
    return 0 if scale >= 1 else STALL_SECONDS


@pytest.fixture
def rig(server: Server, store: Store, provider: Provider, tmp_path: Path, stall_seconds: float) -> Iterator[Rig]:
    rig = Rig(server, store, provider, tmp_path, stall_seconds)
    yield rig
    rig.close()


@pytest.fixture
def durable_rig(durable_server: Server, provider: Provider, tmp_path: Path, stall_seconds: float) -> Iterator[Rig]:
    store = durable_server.new_store()
    rig = Rig(durable_server, store, provider, tmp_path, stall_seconds)
    yield rig
    rig.close()
    store.close()
