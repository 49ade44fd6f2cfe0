"""One client in a loop that a test turns by hand: what it asks of the loop, and when."""

import select
import socket
import sys
from collections.abc import Iterator

import pytest

from loadgen.engine.client import CONNECTING, ENDED, FREE, RETRYING, WAITING, Client
from loadgen.engine.group_state import GroupState
from loadgen.engine.poller import READABLE, WRITABLE
from loadgen.engine.share import Share
from loadgen.engine.tcp_info import bytes_sent
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from tests.servers import WAIT_SECONDS


class HandLoop:
    """A loop that only notes what is asked of it."""

    def __init__(self, sockaddr: tuple[str, int]) -> None:
        self.sockaddr = sockaddr
        self.holding = False
        self.introducing = False
        self.asked: list[str] = []

    def open_socket(self) -> socket.socket:
        self.asked.append("open")
        sock = socket.socket()
        sock.setblocking(False)
        return sock

    def register(self, sock: socket.socket, client: Client, events: int) -> None:  # noqa: ARG002
        self.asked.append(f"register {events}")

    def modify(self, sock: socket.socket, events: int) -> None:  # noqa: ARG002
        self.asked.append(f"modify {events}")

    def unregister(self, sock: socket.socket) -> None:  # noqa: ARG002
        self.asked.append("unregister")

    def wake(self, client: Client, when: int) -> None:  # noqa: ARG002
        self.asked.append("wake")

    def settled(self) -> None:
        self.asked.append("settled")

    def ended(self, client: Client) -> None:  # noqa: ARG002
        self.asked.append("ended")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_SECONDS)
        yield listener


def client_of(
    group: Group, sockaddr: tuple[str, int], messages: int | None = None
) -> tuple[Client, HandLoop]:
    """A client of an echo server, which sends so many messages, None for no end."""
    loop = HandLoop(sockaddr)
    plan = Plan((group,), framing="raw", reply_prefix=b"", messages_per_client=messages)
    return Client(loop, GroupState(group, plan, Share(plan, Endpoint("inet"))), 0), loop


def reply_to(client: Client, peer: socket.socket) -> None:
    """Send its message back and have the client read it."""
    peer.sendall(peer.recv(1000))
    assert client.sock is not None
    client.sock.settimeout(WAIT_SECONDS)
    client.ready(READABLE)


def test_a_client_connects_talks_and_ends(listener: socket.socket) -> None:
    client, loop = client_of(Group(1), listener.getsockname(), messages=2)
    client.connect()
    assert client.state == WAITING
    assert loop.asked == ["open", "register 1", "settled"]
    with listener.accept()[0] as peer:
        peer.settimeout(WAIT_SECONDS)
        reply_to(client, peer)
        assert loop.asked == ["open", "register 1", "settled"]
        reply_to(client, peer)
    assert loop.asked[3:] == ["unregister", "ended"]
    assert (client.state, client.answered, client.group.tally.served) == (ENDED, 2, 1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux counts them")
@pytest.mark.parametrize(("off", "agreed"), [(0, 1), (1, 0), (-1, 0)])
def test_what_it_sent_is_held_against_the_kernels_count(
    off: int, agreed: int, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = bytes_sent
    monkeypatch.setattr("loadgen.engine.client.bytes_sent", lambda sock: (counted(sock) or 0) + off)
    client, _ = client_of(Group(1), listener.getsockname(), messages=2)
    client.connect()
    with listener.accept()[0] as peer:
        peer.settimeout(WAIT_SECONDS)
        reply_to(client, peer)
        reply_to(client, peer)
    tally = client.group.tally
    assert (tally.sent_agreed, tally.sent_disagreed) == (agreed, 1 - agreed)


def test_without_a_limit_it_is_left_to_the_hot_loop(listener: socket.socket) -> None:
    client, loop = client_of(Group(1), listener.getsockname())
    client.connect()
    assert not client.steady
    with listener.accept()[0] as peer:
        peer.settimeout(WAIT_SECONDS)
        reply_to(client, peer)
        assert client.steady
        client.close()
    assert not client.steady
    assert loop.asked[-1] == "unregister"


def test_once_the_load_has_ended_it_begins_no_message(listener: socket.socket) -> None:
    client, loop = client_of(Group(1), listener.getsockname())
    client.connect()
    loop.holding = True
    with listener.accept()[0] as peer:
        peer.settimeout(WAIT_SECONDS)
        reply_to(client, peer)
        assert (client.state, client.answered) == (FREE, 1)
        client.close()


def test_before_turns_it_has_one_reply_and_waits_for_the_others(listener: socket.socket) -> None:
    client, loop = client_of(Group(1), listener.getsockname())
    loop.introducing = True
    client.connect()
    with listener.accept()[0] as peer:
        peer.settimeout(WAIT_SECONDS)
        reply_to(client, peer)
        assert (client.state, client.answered, client.steady) == (FREE, 1, False)
        loop.introducing = False
        client.resume(0, 0)
        reply_to(client, peer)
        assert (client.state, client.answered, client.steady) == (WAITING, 2, True)
        client.close()


def test_under_churn_a_failure_is_tried_again_later(listener: socket.socket) -> None:
    nobody = listener.getsockname()
    listener.close()
    client, loop = client_of(Group(1, messages_per_connection=1), nobody)
    client.connect()
    assert client.sock is not None
    assert loop.asked == ["open", "register 5"]
    assert select.select([], [client.sock], [], WAIT_SECONDS)[1]
    client.ready(WRITABLE)
    assert (client.state, client.trouble) == (RETRYING, "ECONNREFUSED")
    assert loop.asked[2:] == ["unregister", "settled", "wake"]


def test_what_falls_due_while_it_connects_is_sent_then(listener: socket.socket) -> None:
    client, _ = client_of(Group(1, rate_per_second=10.0), listener.getsockname())
    client.fall_due(5)  # it has not begun to connect: nobody is there to send it
    client.state = CONNECTING
    client.fall_due(7)
    assert client.group.due_messages == 1
    client.connect()
    assert (client.state, client.due) == (WAITING, 7)
    client.close()


def test_what_was_due_when_the_load_was_taken_off_is_still_sent(listener: socket.socket) -> None:
    client, loop = client_of(Group(1, rate_per_second=10.0), listener.getsockname())
    client.connect()
    peer, _ = listener.accept()
    with peer:
        client.fall_due(5)
        client.fall_due(7)
        loop.holding = True
        reply_to(client, peer)
        assert (client.state, client.due) == (WAITING, 7)
        reply_to(client, peer)
    assert client.state == FREE
    client.close()


def test_what_falls_due_for_one_that_is_gone_has_failed(listener: socket.socket) -> None:
    client, _ = client_of(Group(1, rate_per_second=10.0), listener.getsockname())
    client.connect()
    client.fail("ECONNRESET")
    client.fall_due(7)
    assert client.state == ENDED
    assert client.group.due_messages == client.group.tally.failed == 1


def test_a_reply_behind_other_bytes_is_not_right(listener: socket.socket) -> None:
    client, _ = client_of(Group(1), listener.getsockname())
    client.connect()
    peer, _ = listener.accept()
    with peer:
        reply_to(client, peer)
        assert client.steady
        size = len(client.expected)
        client.received(b"x" * (size - 1))
        assert not client.steady  # else the hot loop would find the next one right
        client.received(client.expected)
        assert client.group.tally.wrong == 1
        assert client.answered == 1
    client.close()
