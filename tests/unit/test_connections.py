"""Which connection gives way when there are too many, and how many a process may have."""

from dataclasses import dataclass, field

import pytest

from app.server.connections import Connections, Phase
from app.server.limits import KEPT_DESCRIPTORS, LEAST_BACKLOG, ConnectionLimits, needed, within


@dataclass(eq=False)
class Peer:
    unread: list[int] = field(default_factory=list)
    has_hung_up: bool = False

    def hang_up(self) -> None:
        self.has_hung_up = True

    def unsent(self) -> int:
        return self.unread.pop(0) if self.unread else 0


def filled(*phases: Phase) -> tuple[Connections, list[Peer]]:
    """As many connections as there may be, in these phases, one second after the other."""
    connections = Connections(ConnectionLimits(connections=len(phases)))
    peers = [Peer() for _ in phases]
    for second, (peer, phase) in enumerate(zip(peers, phases, strict=True)):
        assert connections.admit(peer, at=second)
        connections.move(peer, phase, at=second)
    return connections, peers


@pytest.mark.parametrize(
    ("phases", "gives_way"),
    [
        ((Phase.SILENT, Phase.SILENT), 0),
        ((Phase.IDLE, Phase.SILENT), 1),
        ((Phase.IDLE, Phase.ANSWERING), 0),
        ((Phase.RECEIVING, Phase.IDLE), 1),
        ((Phase.ANSWERING, Phase.RECEIVING), 1),
    ],
)
def test_who_has_asked_for_least_gives_way_to_a_new_client(phases: tuple[Phase, ...], gives_way: int) -> None:
    connections, peers = filled(*phases)
    assert connections.admit(Peer(), at=10)
    assert [peer.has_hung_up for peer in peers] == [index == gives_way for index in range(len(peers))]
    assert len(connections) == len(phases)


def test_a_client_that_is_being_answered_never_gives_way() -> None:
    connections, peers = filled(Phase.ANSWERING, Phase.ANSWERING)
    assert not connections.admit(Peer(), at=10)
    assert not any(peer.has_hung_up for peer in peers)


def test_a_client_that_has_just_connected_has_a_moment() -> None:
    connections, peers = filled(Phase.SILENT)
    assert not connections.admit(Peer(), at=0.05)
    assert connections.admit(Peer(), at=0.2)
    assert peers[0].has_hung_up


def test_a_connection_without_a_whole_head_is_late() -> None:
    connections, peers = filled(Phase.SILENT, Phase.IDLE, Phase.RECEIVING, Phase.ANSWERING)
    assert connections.hang_up_on_late(at=29) == 0
    assert connections.hang_up_on_late(at=31) == 2
    assert [peer.has_hung_up for peer in peers] == [True, True, False, False]


def test_a_client_that_still_reads_its_answer_is_not_late() -> None:
    connections, [peer] = filled(Phase.IDLE)
    peer.unread = [900, 500, 500]
    assert [connections.hang_up_on_late(at=at) for at in (31, 62, 93)] == [0, 0, 1]


@pytest.mark.parametrize("descriptors", [256, 1024, 1500, 20_000, 2**20])
def test_all_connections_and_all_that_wait_leave_descriptors_for_paging(descriptors: int) -> None:
    limits = within(descriptors, wanted=1024)
    assert limits.connections >= LEAST_BACKLOG
    if descriptors >= 1024:
        assert limits.connections + limits.backlog + KEPT_DESCRIPTORS <= descriptors


def test_enough_descriptors_give_all_connections() -> None:
    assert within(needed(1024), wanted=1024).connections == 1024
    assert within(needed(1024) - 1, wanted=1024).connections == 1023
