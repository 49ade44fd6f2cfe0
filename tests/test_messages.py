"""A group's messages: right sizes, distinct, bounded in memory, and where a reply ends."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concurrency_models.talk import Talk, Terms, frame
from loadgen.plan.group import Group
from loadgen.plan.messages import RING, RING_BYTES, STRANGE_EXCESS, Messages
from loadgen.plan.plan import Plan


def messages(group: Group, **plan: str) -> Messages:
    return Messages(group, Plan((group,), **plan))  # type: ignore[arg-type]


@given(st.sampled_from(["length", "line"]), st.integers(0, 3000))
def test_our_servers_reply_as_expected(framing: str, size: int) -> None:
    made = messages(Group(1, size_bytes=size), framing=framing)
    talk = Talk(Terms(framing=framing))
    for request, reply in made.pairs[:5]:
        assert talk.receive(request) == reply
        assert (len(request), len(reply)) == (made.request_size, made.reply_size)
    assert made.payload_size == 2 * size + len(b"received: ")


@pytest.mark.parametrize("size", [2, 3, 64, 10_000])
def test_payloads_are_distinct(size: int) -> None:
    assert len({request for request, _ in messages(Group(1, size_bytes=size)).pairs}) == RING


def test_large_payloads_share_a_bounded_ring() -> None:
    made = messages(Group(1, size_bytes=RING_BYTES // 4))
    assert len(made.pairs) == RING
    assert len({id(request) for request, _ in made.pairs}) == 4
    assert len({request for request, _ in made.pairs}) == 4


def test_a_very_large_payload_still_has_a_neighbour_that_differs() -> None:
    first, second = messages(Group(1, size_bytes=3 * RING_BYTES)).pairs[:2]
    assert first != second


def test_work_asks_and_knows_the_answer() -> None:
    request, reply = messages(Group(1, work="fib:10")).pairs[0]
    assert request == frame("length", b"fib 10")
    assert reply == frame("length", b"received: 55")
    assert messages(Group(1, work="sleep:9999")).pairs[0][1] == frame("length", b"received: 9999")


def test_someone_elses_messages_stand_as_given() -> None:
    made = messages(Group(1, request=b"PING\r\n", reply=b"+PONG\r\n"))
    assert set(made.pairs) == {(b"PING\r\n", b"+PONG\r\n")}
    assert made.payload_size == 13


@pytest.mark.parametrize(
    ("framing", "received", "end"),
    [
        ("length", b"\0\0", None),
        ("length", b"\0\0\0\5hell", None),
        ("length", b"\0\0\0\5hello", 9),
        ("length", b"\0\0\0\5hello, and more", 9),
        ("length", b"HTTP", -1),
        ("line", b"hello", None),
        ("line", b"hello\nmore", 6),
        ("line", bytes(STRANGE_EXCESS + 1000), -1),
        ("raw", b"x" * 73, None),
        ("raw", b"x" * 75, 74),
    ],
)
def test_where_a_reply_ends(framing: str, received: bytes, end: int | None) -> None:
    assert messages(Group(1, size_bytes=64), framing=framing).reply_end(received) == end


def test_a_line_is_looked_through_once() -> None:
    looked_from: list[int] = []

    class Watched(bytearray):
        def find(self, what: Any, start: Any = 0, end: Any = None) -> int:  # noqa: ARG002
            looked_from.append(start)
            return super().find(what, start)

    line = messages(Group(1, size_bytes=64), framing="line")
    assert line.reply_end(Watched(b"hel"), 0) is None
    assert line.reply_end(Watched(b"hello"), 3) is None
    assert line.reply_end(Watched(b"hello\n"), 5) == 6
    assert looked_from == [0, 3, 5]
