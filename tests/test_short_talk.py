"""Servers that end a conversation themselves: right is the reply with the end of the stream."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from concurrency_models.talk import GREETING
from loadgen.fleet.conductor import run_load
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.tally import GroupTally
from tests.known_servers import PREFIX, Counter, framed, read_message, reset, serving, talk
from tests.warm_workers import WARM

WELCOME = framed(GREETING)


def measure(endpoint: Endpoint, kind: str, clients: int = 2, **more: Any) -> GroupTally:
    of_group = {name: more.pop(name) for name in ("think_seconds", "rate_per_second") & more.keys()}
    plan: dict[str, Any] = {"messages_per_client": 5, "timeout_seconds": 20.0, **more}
    if plan["messages_per_client"] is not None:
        plan["duration_seconds"] = None
    group = Group(clients, messages_per_connection=1, **of_group)
    whole = Plan((group,), family=endpoint.family, talk=kind, **plan)
    tally = run_load(whole, endpoint, place=WARM)
    assert tally.unaccounted == 0
    return tally.groups[0]


def greet(client: socket.socket) -> None:
    client.sendall(WELCOME)


def answer_once(client: socket.socket) -> None:
    client.sendall(framed(PREFIX + read_message(client)))


KINDS = {"greet": greet, "once": answer_once}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["inet", "unix"])
def test_every_conversation_is_counted(kind: str, family: str, tmp_path: Path) -> None:
    with serving(KINDS[kind], family, tmp_path / "socket") as endpoint:
        group = measure(endpoint, kind, clients=3)
    assert (group.intended, group.answered, group.connections) == (15, 15, 15)
    assert (group.wrong, group.failed, group.waiting, group.errors) == (0, 0, 0, {})
    assert (group.connected, group.served) == (3, 3)
    assert group.bytes_received == group.expected_bytes_received
    assert (group.bytes_sent == 0) == (kind == "greet")
    assert group.connections_in_window == group.answered_in_window == group.service.count == 15


@pytest.mark.parametrize("kind", KINDS)
def test_for_a_time_instead_of_a_number(kind: str) -> None:
    with serving(KINDS[kind]) as endpoint:
        group = measure(
            endpoint, kind, messages_per_client=None, duration_seconds=0.3, warmup_seconds=0.0
        )
    # On a busy machine the last ones may still be waiting.
    assert group.answered + group.waiting == group.intended > 10
    assert group.errors == {}


def piecemeal(client: socket.socket) -> None:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in WELCOME:
        client.sendall(bytes([byte]))


def test_a_reply_in_pieces() -> None:
    with serving(piecemeal) as endpoint:
        group = measure(endpoint, "greet")
    assert (group.answered, group.errors) == (10, {})


def spoilt(number: int, change: Callable[[socket.socket], None]) -> Callable[..., None]:
    """Greet, but for the one connection of that number."""
    counter = Counter()

    def conversation(client: socket.socket) -> None:
        if counter.next() == number:
            change(client)
        else:
            greet(client)

    return conversation


def lie(client: socket.socket) -> None:
    client.sendall(framed(GREETING[::-1]))


def say_more(client: socket.socket) -> None:
    client.sendall(WELCOME + b"!")


def stop_half_way(client: socket.socket) -> None:
    client.sendall(WELCOME[:5])


def stay(client: socket.socket) -> None:
    client.sendall(WELCOME)
    client.recv(1)


@pytest.mark.parametrize(
    ("change", "wrong", "error"),
    [
        (lie, 1, "EPROTO"),
        (say_more, 1, "EPROTO"),
        (stop_half_way, 0, "EOF"),
    ],
)
def test_one_conversation_that_goes_wrong(
    change: Callable[[socket.socket], None], wrong: int, error: str
) -> None:
    with serving(spoilt(4, change)) as endpoint:
        group = measure(endpoint, "greet")
    assert (group.intended, group.answered) == (10, 9)
    assert (group.wrong, group.failed) == (wrong, 1 - wrong)
    assert group.errors == {error: 1}


def test_one_conversation_that_is_reset() -> None:
    # Not before its message has come: until then the client may not know that it is connected.
    counter = Counter()

    def conversation(client: socket.socket) -> None:
        message = read_message(client)
        if counter.next() == 4:
            reset(client)
        else:
            client.sendall(framed(PREFIX + message))

    with serving(conversation) as endpoint:
        group = measure(endpoint, "once")
    assert (group.intended, group.answered) == (10, 9)
    assert (group.wrong, group.failed, group.errors) == (0, 1, {"ECONNRESET": 1})


def test_a_server_that_does_not_close_has_not_answered() -> None:
    with serving(spoilt(4, stay)) as endpoint:
        group = measure(endpoint, "greet", timeout_seconds=0.3)
    assert (group.answered, group.failed, group.errors) == (9, 1, {"ETIMEDOUT": 1})


def test_a_server_that_goes_on_talking_has_not_answered() -> None:
    with serving(talk()) as endpoint:
        group = measure(endpoint, "once", messages_per_client=1, timeout_seconds=0.3)
    assert (group.answered, group.failed, group.errors) == (0, 2, {"ETIMEDOUT": 2})


def test_thinking_comes_between_conversations() -> None:
    with serving(answer_once) as endpoint:
        group = measure(
            endpoint,
            "once",
            messages_per_client=None,
            duration_seconds=0.5,
            warmup_seconds=0.0,
            think_seconds=0.1,
        )
    assert 0 < group.intended <= 12
    assert group.errors == {}


def test_conversations_by_the_clock() -> None:
    with serving(answer_once) as endpoint:
        group = measure(
            endpoint,
            "once",
            messages_per_client=None,
            duration_seconds=0.5,
            warmup_seconds=0.0,
            rate_per_second=100.0,
        )
    assert group.intended == pytest.approx(50, abs=25)
    assert group.answered == group.intended - group.waiting
    assert group.errors == {}
