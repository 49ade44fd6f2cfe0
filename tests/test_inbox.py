"""Memory that a talk keeps: how it grows, and who gives it back when."""

import gc
import mmap
import socket
import weakref
from unittest.mock import create_autospec

import pytest

from concurrency_models.inbox import FIRST_SIZE, PATIENCE, RECEIVE_SIZE, SPARED_SIZE, Scratch
from concurrency_models.leaving import Leaving, Looks
from concurrency_models.narration import Narration
from concurrency_models.server import Server
from concurrency_models.settings import Settings
from concurrency_models.talk import Talk, Terms, frame, take_talk

PREFIX = b"re: "
LARGE = 300_000


def talk(framing: str = "length", scratch: Scratch | None = None) -> Talk:
    return Talk(Terms(framing, PREFIX), scratch)


def ask(conversation: Talk, message: bytes, framing: str = "length") -> bytes | memoryview:
    """Send one message in as many turns as there is room for; return the reply."""
    rest = frame(framing, message)
    reply: bytes | memoryview = b""
    while rest:
        assert not reply
        room = conversation.room()
        size = min(len(room), len(rest))
        room[:size] = rest[:size]
        rest = rest[size:]
        reply = conversation.received(size)
    assert reply == frame(framing, PREFIX + message)
    return reply


def memory_of(reply: bytes | memoryview) -> object:
    """Return what a reply lies in."""
    assert isinstance(reply, memoryview)
    return reply.obj


@pytest.mark.parametrize("framing", ["length", "line"])
@pytest.mark.parametrize("size", [1, 5000, 100_000, LARGE])
def test_a_message_is_answered_where_it_was_received(framing: str, size: int) -> None:
    conversation = talk(framing)
    ask(conversation, b"x" * size, framing)
    memory = memory_of(ask(conversation, b"y" * size, framing))
    for _ in range(3):
        assert memory_of(ask(conversation, b"z" * size, framing)) is memory


def test_also_where_more_has_come_behind_it() -> None:
    conversation = talk()
    ask(conversation, bytes(100))
    both = frame("length", b"whole") + frame("length", b"half")[:6]
    room = conversation.room()
    room[: len(both)] = both
    reply = conversation.received(len(both))
    assert memory_of(reply) is room.obj
    assert reply == frame("length", PREFIX + b"whole")
    conversation.room()[:2] = b"lf"
    assert conversation.received(2) == frame("length", PREFIX + b"half")


def test_memory_doubles_as_a_message_fills_it_and_not_before() -> None:
    conversation = talk()
    claim = (1 << 20).to_bytes(4, "big")
    came = len(claim)
    conversation.room()[:came] = claim
    assert conversation.received(came) == b""
    sizes = []
    while came < LARGE:
        room = conversation.room()
        assert came + len(room) <= max(FIRST_SIZE, 2 * came)
        sizes.append(len(room))
        conversation.received(len(room))
        came += len(room)
    assert len(sizes) < 10


def test_a_stream_of_small_messages_takes_no_more_than_one_recv_may_bring() -> None:
    conversation = talk()
    stream = frame("length", bytes(1000)) * 1000
    while stream:
        room = conversation.room()
        assert len(room) <= RECEIVE_SIZE
        size = min(len(room), len(stream))
        room[:size] = stream[:size]
        stream = stream[size:]
        conversation.received(size)


def test_a_client_that_has_long_sent_small_messages_needs_little() -> None:
    conversation = talk()
    ask(conversation, bytes(LARGE))
    for _ in range(PATIENCE):
        ask(conversation, b"small")
        assert conversation.inbox.roomy
    for _ in range(2):
        ask(conversation, b"small")
    assert not conversation.inbox.roomy
    assert len(conversation.room()) == FIRST_SIZE


def test_memory_is_given_back_on_demand_but_for_half_a_message() -> None:
    conversation = talk()
    ask(conversation, bytes(LARGE))
    conversation.room()[:4] = (10).to_bytes(4, "big")
    conversation.received(4)
    conversation.inbox.give_back()
    assert conversation.inbox.roomy
    conversation.room()[:10] = b"0123456789"
    assert conversation.received(10) == frame("length", PREFIX + b"0123456789")
    conversation.inbox.give_back()
    assert not conversation.inbox.roomy
    ask(conversation, bytes(SPARED_SIZE - 100))
    assert not conversation.inbox.roomy


def test_talks_that_share_memory_have_none_of_their_own_while_messages_are_small() -> None:
    scratch = Scratch(len(PREFIX))
    first, second = talk(scratch=scratch), talk(scratch=scratch)
    assert memory_of(ask(first, b"one")) is memory_of(ask(second, b"two"))
    assert not scratch.owners
    ask(first, bytes(LARGE))
    assert scratch.owners == {first.inbox}


def test_two_looks_without_a_message_take_the_memory_back() -> None:
    scratch = Scratch(len(PREFIX))
    silent, busy = talk(scratch=scratch), talk(scratch=scratch)
    ask(silent, bytes(LARGE))
    for _ in range(3):
        ask(busy, bytes(LARGE))
        scratch.look()
    assert scratch.owners == {busy.inbox}
    ask(silent, bytes(LARGE))


def test_a_look_leaves_alone_whose_messages_are_being_answered() -> None:
    scratch = Scratch(len(PREFIX), shared=False)
    conversation = talk(scratch=scratch)
    data = frame("length", b"in another thread")
    conversation.room()[: len(data)] = data
    conversation.inbox.in_use = True
    for _ in range(3):
        scratch.look()
    assert conversation.received(len(data)) == frame("length", PREFIX + b"in another thread")


def test_a_detached_reply_outlives_what_others_receive() -> None:
    scratch = Scratch(len(PREFIX))
    first, second = talk(scratch=scratch), talk(scratch=scratch)
    detached = first.detached(ask(first, b"mine"))
    ask(second, b"other")
    assert detached == frame("length", PREFIX + b"mine")


def test_a_reply_in_memory_of_its_own_is_not_copied_to_be_detached() -> None:
    scratch = Scratch(len(PREFIX))
    conversation = talk(scratch=scratch)
    reply = ask(conversation, bytes(LARGE))
    assert memory_of(conversation.detached(reply)) is memory_of(reply)
    assert isinstance(memory_of(reply), mmap.mmap)


def test_raw_takes_whatever_one_recv_returns() -> None:
    assert len(talk("raw").room()) == RECEIVE_SIZE


@pytest.mark.parametrize("scratch", [None, Scratch(len(PREFIX))], ids=["its own", "shared"])
def test_a_talk_that_is_over_serves_the_next_client_on_the_same_terms(
    scratch: Scratch | None,
) -> None:
    terms = Terms(reply_prefix=PREFIX)
    first = take_talk(terms, scratch)
    ask(first, b"hello")
    if scratch is None:  # else what is held has memory of its own
        first.room()[:2] = b"\0\0"
        first.received(2)
        assert first.mid_message
    first.received(0)
    first.retire()
    assert take_talk(terms, scratch) is first
    assert not first.mid_message
    assert not first.over
    assert not first.more
    ask(first, b"anew")
    first.retire()
    assert take_talk(Terms("line", PREFIX), scratch) is not first
    first.retire()
    assert take_talk(terms, Scratch(len(PREFIX))) is not first


@pytest.mark.parametrize("scratch", [None, Scratch(len(PREFIX))], ids=["its own", "shared"])
def test_a_talk_that_has_memory_of_its_own_is_not_kept(scratch: Scratch | None) -> None:
    terms = Terms(reply_prefix=PREFIX)
    grown = take_talk(terms, scratch)
    ask(grown, bytes(LARGE))
    grown.retire()
    assert take_talk(terms, scratch) is not grown
    held = take_talk(terms, scratch)
    held.room()[:6] = frame("length", b"half")[:6]
    held.received(6)
    held.room()
    held.retire()
    again = take_talk(terms, scratch)
    assert not again.mid_message
    ask(again, b"whole")


def test_a_client_that_is_released_twice_leaves_its_talk_once() -> None:
    server = create_autospec(Server, instance=True)
    server.narration = Narration(verbose=False)
    terms = Terms(reply_prefix=PREFIX)
    server.new_talk.return_value = take_talk(terms)
    with socket.socket() as client:
        leaving = Leaving(server, client)
        leaving.release()
        leaving.release()
    assert take_talk(terms) is leaving.talk
    assert take_talk(terms) is not leaving.talk


def test_a_connection_that_is_over_leaves_nothing_to_the_collector() -> None:
    """A cycle would keep its memory until the collector comes by, which then has the work."""
    server = create_autospec(Server, instance=True)
    server.settings = Settings()
    server.narration = Narration(verbose=False)
    server.new_talk.return_value = talk()
    looks = Looks(server)
    with socket.socket() as client:
        leaving = Leaving(server, client, looks)
        leaving.break_off = leaving.release
        gone = weakref.ref(leaving)
        gc.disable()
        try:
            leaving.release()
            server.reset_mock(return_value=True)  # it remembers its arguments
            del leaving
            assert gone() is None
        finally:
            gc.enable()
