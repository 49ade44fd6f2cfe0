"""Datagrams that are lost, late or doubled on purpose are counted as just that."""

import socket
import threading
from typing import Any

import pytest

from loadgen.fleet.conductor import run_load
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.tally import GroupTally
from tests.known_servers import answering_datagrams
from tests.warm_workers import WARM


def measure(endpoint: Endpoint, group: Group, **plan: Any) -> GroupTally:
    plan = {
        "transport": "udp",
        "timeout_seconds": 0.4,
        "messages_per_client": 20,
        "duration_seconds": None,
        **plan,
    }
    tally = run_load(Plan((group,), **plan), endpoint, place=WARM)
    assert tally.unaccounted == 0
    return tally.groups[0]


@pytest.mark.parametrize("size", [0, 1, 8, 64, 10_000])
def test_every_datagram_is_answered(size: int) -> None:
    with answering_datagrams(lambda _, reply: [reply]) as endpoint:
        group = measure(endpoint, Group(3, size_bytes=size), timeout_seconds=5.0)
    assert (group.connected, group.served, group.answered) == (3, 3, 60)
    assert (group.lost, group.late, group.duplicated, group.errors) == (0, 0, 0, {})
    assert (group.connections, group.connect.count) == (0, 0)
    assert group.bytes_received == group.expected_bytes_received


def test_a_closed_loop_without_a_number_of_messages() -> None:
    with answering_datagrams(lambda _, reply: [reply]) as endpoint:
        group = measure(
            endpoint, Group(3), messages_per_client=None, duration_seconds=0.2, timeout_seconds=5.0
        )
    assert group.answered == group.intended > 0
    assert group.errors == {}


def test_lost_datagrams_are_counted_exactly() -> None:
    with answering_datagrams(lambda n, reply: [] if n % 7 == 0 else [reply]) as endpoint:
        group = measure(endpoint, Group(2))
    assert (group.lost, group.failed, group.answered) == (5, 5, 35)
    assert group.errors == {"ETIMEDOUT": 5}
    assert group.timed_out == 0


def test_duplicated_datagrams_are_counted_and_answer_nothing() -> None:
    with answering_datagrams(lambda _, reply: [reply, reply]) as endpoint:
        group = measure(endpoint, Group(1), timeout_seconds=5.0)
    assert (group.answered, group.wrong, group.lost) == (20, 0, 0)
    # The second of the last pair may find its client gone.
    assert group.duplicated in (19, 20)


def test_late_datagrams_are_told_from_the_answer_to_the_next_message() -> None:
    held: list[bytes] = []

    def hold_every_fourth(number: int, reply: bytes) -> list[bytes]:
        if number % 4 == 0:
            held.append(reply)
            return []
        return [held.pop(), reply] if held else [reply]

    with answering_datagrams(hold_every_fourth) as endpoint:
        group = measure(endpoint, Group(1))
    assert (group.answered, group.lost, group.wrong) == (15, 5, 0)
    assert group.late == 4


def test_wrong_datagrams_are_counted_exactly() -> None:
    def spoil(number: int, reply: bytes) -> list[bytes]:
        return [b"nonsense"] if number % 5 == 0 else [reply]

    with answering_datagrams(spoil) as endpoint:
        group = measure(endpoint, Group(2), timeout_seconds=5.0)
    assert (group.wrong, group.answered) == (8, 32)


def test_an_open_loop_of_datagrams() -> None:
    with answering_datagrams(lambda _, reply: [reply]) as endpoint:
        group = measure(
            endpoint,
            Group(4, rate_per_second=200),
            messages_per_client=None,
            duration_seconds=0.5,
            warmup_seconds=0.0,
        )
    assert group.answered_in_window == pytest.approx(100, abs=50)


def test_nobody_there_is_refused() -> None:
    with answering_datagrams(lambda _, reply: [reply]) as endpoint:
        pass
    group = measure(endpoint, Group(2))
    assert (group.refused, group.failed, group.errors) == (2, 2, {"ECONNREFUSED": 2})


def test_nothing_hangs_when_nobody_answers() -> None:
    with answering_datagrams(lambda _, __: []) as endpoint:
        group = measure(endpoint, Group(3), messages_per_client=3, timeout_seconds=0.05)
    assert (group.intended, group.lost, group.failed, group.answered) == (9, 9, 9, 0)
    assert (group.served, group.starved) == (0, 3)


def test_a_server_that_goes_away_refuses_what_comes_after() -> None:
    server = socket.socket(type=socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))

    def answer_one() -> None:
        with server:
            data, client = server.recvfrom(65536)
            server.sendto(b"received: " + data, client)

    thread = threading.Thread(target=answer_one)
    thread.start()
    endpoint = Endpoint("inet", "127.0.0.1", server.getsockname()[1], transport="udp")
    # It thinks for as long as closing a socket may take.
    group = measure(endpoint, Group(1, think_seconds=0.2), timeout_seconds=5.0)
    thread.join()
    assert (group.answered, group.failed, group.lost) == (1, 1, 0)
    assert (group.refused, group.errors) == (1, {"ECONNREFUSED": 1})


@pytest.mark.parametrize("size", [8, 64])
def test_a_link_that_loses_doubles_and_delays(size: int) -> None:
    """Every third is lost on the way there, every fifth comes twice, every seventh too late."""
    held: list[bytes] = []
    counts = {"lost": 0, "late": 0, "duplicated": 0}

    def link(number: int, reply: bytes) -> list[bytes]:
        if number % 3 == 0:
            counts["lost"] += 1
            return []
        if number % 7 == 0:
            counts["lost"] += 1
            held.append(reply)
            return []
        late, answers = held[:], [reply]
        held.clear()
        counts["late"] += len(late)
        if number % 5 == 0:
            counts["duplicated"] += 1
            answers.append(reply)
        return [*late, *answers]

    with answering_datagrams(link) as endpoint:
        group = measure(endpoint, Group(1, size_bytes=size), messages_per_client=22)
    assert counts["lost"] > 7
    assert (group.intended, group.wrong) == (22, 0)
    assert group.answered == 22 - counts["lost"]
    assert {name: getattr(group, name) for name in counts} == counts
