"""Tables of bytes for the talk: what goes in, what comes out, with no socket anywhere."""

import re
from collections.abc import Iterable
from itertools import pairwise, zip_longest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from concurrency_models.inbox import Scratch
from concurrency_models.narration import NarratedTalk
from concurrency_models.talk import (
    FRAMINGS,
    GREETING,
    LARGEST_DATAGRAM,
    MOST_ANSWERS,
    Talk,
    Terms,
    frame,
)

LIMIT = 20


def talk(framing: str = "length", kind: str = "loop", work: bool = False) -> Talk:
    return Talk(Terms(framing, b"re: ", max_message=LIMIT, kind=kind, work=work))


def replies(conversation: Talk, pieces: Iterable[bytes]) -> bytes:
    """Feed pieces to a talk as `recv` would return them, and return all that it has to say."""
    said = [conversation.open()]
    said += [bytes(conversation.receive(piece)) for piece in pieces]  # or the next would go over it
    return b"".join(said)


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def refusal(size: int) -> bytes:
    return b"message of %d bytes is over the limit of %d bytes" % (size, LIMIT)


def refusal_of_text(text: bytes) -> bytes:
    hint = b" (%b was taken for its length: to type by hand, use --framing line)" % text
    return refusal(int.from_bytes(text, "big")) + hint


def framed(*messages: bytes) -> bytes:
    return b"".join(frame("length", message) for message in messages)


@pytest.mark.parametrize(
    ("framing", "arrives", "answered"),
    [
        ("length", b"\0\0\0\5hello", b"\0\0\0\x09re: hello"),
        ("length", b"\0\0\0\0", b"\0\0\0\4re: "),
        ("length", b"\0\0\0\0\0\0\0\1a\0\0\0\0", b"\0\0\0\4re: \0\0\0\5re: a\0\0\0\4re: "),
        ("length", b"\0\0\0\4\0\n\r\xff", b"\0\0\0\x08re: \0\n\r\xff"),
        ("length", framed(bytes(LIMIT)), framed(b"re: " + bytes(LIMIT))),
        ("length", b"\0\0\0\5hell", b""),
        ("length", b"\0\0\0", b""),
        ("length", b"\0\0\0\x15", framed(refusal(21))),
        ("length", b"\0\0\0\1a\0\0\0\x15\0\0\0\1b", framed(b"re: a", refusal(21))),
        ("length", b"GET / HTTP/1.1\r\n\r\n", framed(refusal_of_text(b"GET "))),
        ("length", b"\xff\xff\xff\xff", framed(refusal(4294967295))),
        ("line", b"hello\n", b"re: hello\n"),
        ("line", b"\n", b"re: \n"),
        ("line", b"\n\na\n", b"re: \nre: \nre: a\n"),
        ("line", b"hello\r\n", b"re: hello\r\n"),
        ("line", b"\0\xff\r\n", b"re: \0\xff\r\n"),
        ("line", b"hell", b""),
        ("line", b"x" * LIMIT + b"\n", b"re: " + b"x" * LIMIT + b"\n"),
        ("line", b"a\n" + b"x" * 21, b"re: a\n" + refusal(21) + b"\n"),
        ("line", b"x" * 21 + b"\nb\n", refusal(21) + b"\n"),
    ],
)
def test_what_arrives_is_answered_whole_or_byte_by_byte(
    framing: str, arrives: bytes, answered: bytes
) -> None:
    assert replies(talk(framing), [arrives]) == answered
    assert replies(talk(framing), byte_by_byte(arrives)) == answered


def test_raw_answers_whatever_one_recv_returned() -> None:
    assert replies(talk("raw"), [b"one", b"two"]) == b"re: onere: two"
    assert replies(talk("raw"), [b"onetwo"]) == b"re: onetwo"
    assert replies(talk("raw"), [b"x" * 21, b"more"]) == refusal(21)
    assert replies(talk("raw"), [b"\n"]) == b"re: \n"


@pytest.mark.parametrize("framing", FRAMINGS)
def test_frame_is_what_the_talk_understands(framing: str) -> None:
    assert replies(talk(framing), [frame(framing, b"hello")]) == frame(framing, b"re: hello")


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_client_that_hangs_up_ends_the_talk(framing: str) -> None:
    conversation = talk(framing)
    assert not conversation.over
    assert conversation.receive(b"") == b""
    assert conversation.over
    assert conversation.receive(frame(framing, b"too late")) == b""


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_refusal_ends_the_talk(framing: str) -> None:
    conversation = talk(framing)
    said = bytes(conversation.receive(frame(framing, b"x" * 50)))
    assert said.count(b"over the limit of 20 bytes") == 1
    assert conversation.over
    assert not conversation.mid_message
    assert conversation.receive(frame(framing, b"too late")) == b""


@pytest.mark.parametrize(
    ("framing", "arrives", "mid_message"),
    [
        ("length", b"", False),
        ("length", b"\0", True),
        ("length", b"\0\0\0\2a", True),
        ("length", b"\0\0\0\2ab", False),
        ("length", b"\0\0\0\2ab\0", True),
        ("line", b"a", True),
        ("line", b"a\n", False),
        ("line", b"a\nb", True),
        ("raw", b"a", False),
    ],
)
def test_the_talk_knows_when_it_is_in_mid_message(
    framing: str, arrives: bytes, mid_message: bool
) -> None:
    conversation = talk(framing)
    replies(conversation, byte_by_byte(arrives))
    assert conversation.mid_message is mid_message


@pytest.mark.parametrize("framing", FRAMINGS)
def test_greet_says_its_greeting_and_is_over(framing: str) -> None:
    conversation = talk(framing, kind="greet")
    assert conversation.open() == frame(framing, GREETING)
    assert conversation.over
    assert conversation.receive(frame(framing, b"hello")) == b""


@pytest.mark.parametrize("framing", ["length", "line"])
def test_once_answers_one_message_and_is_over(framing: str) -> None:
    arrives = frame(framing, b"one") + frame(framing, b"two")
    for pieces in [arrives], byte_by_byte(arrives):
        conversation = talk(framing, kind="once")
        assert replies(conversation, pieces) == frame(framing, b"re: one")
        assert conversation.over


@pytest.mark.parametrize("kind", ["once", "loop"])
def test_nobody_but_a_greeter_speaks_first(kind: str) -> None:
    assert talk(kind=kind).open() == b""


def test_a_datagram_is_a_message_without_framing() -> None:
    assert talk().receive_datagram(b"hello") == b"re: hello"
    assert talk().receive_datagram(b"") == b"re: "
    assert talk().receive_datagram(b"x" * 21) == refusal(21)
    largest = LARGEST_DATAGRAM - len(b"re: ")
    conversation = Talk(Terms(reply_prefix=b"re: "))
    assert conversation.receive_datagram(bytes(largest)) == b"re: " + bytes(largest)
    assert conversation.receive_datagram(bytes(largest + 1)) == (
        b"message of %d bytes is over the limit of %d bytes" % (largest + 1, largest)
    )


def test_work_is_done_only_where_the_terms_say_so() -> None:
    assert replies(talk(work=True), [framed(b"fib 10")]) == framed(b"re: 55")
    assert replies(talk(work=False), [framed(b"fib 10")]) == framed(b"re: fib 10")


def streams(framing: str) -> st.SearchStrategy[bytes]:
    """Bytes that a client may send: messages, messages over the limit, halves of them, garbage."""
    message = st.binary(max_size=LIMIT + 2).map(lambda message: frame(framing, message))
    return st.lists(message | st.binary(max_size=8), max_size=12).map(b"".join)


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({cut % len(data) for cut in cuts} - {0}), len(data)] if data else []
    return [data[start:end] for start, end in pairwise(edges)]


@given(data=st.data(), framing=st.sampled_from(["length", "line"]), cuts=st.lists(st.integers(0)))
def test_how_the_stream_is_cut_changes_nothing(
    data: st.DataObject, framing: str, cuts: list[int]
) -> None:
    stream = data.draw(streams(framing))
    whole, cut = talk(framing), talk(framing)
    said_at_once = replies(whole, [stream] if stream else [])
    said_in_pieces = replies(cut, pieces_of(stream, cuts))
    # How long a line is going to be, nobody knows before its end: a refusal says what has come.
    known = (rb"message of \d+ bytes", b"message of N bytes") if framing == "line" else (b"$", b"")
    assert re.sub(*known, said_in_pieces) == re.sub(*known, said_at_once)
    assert cut.over == whole.over
    assert cut.mid_message == whole.mid_message


@given(
    data=st.data(),
    framing=st.sampled_from(["length", "line"]),
    cuts=st.lists(st.lists(st.integers(0)), min_size=2, max_size=4),
)
def test_talks_that_share_memory_do_not_mix(
    data: st.DataObject, framing: str, cuts: list[list[int]]
) -> None:
    terms = Terms(framing, b"re: ", max_message=LIMIT)
    scratch = Scratch(len(terms.reply_prefix))
    apart = [data.draw(streams(framing)) for _ in cuts]
    pieces = [pieces_of(stream, cut) for stream, cut in zip(apart, cuts, strict=True)]
    conversations = [Talk(terms, scratch) for _ in cuts]
    said = [b""] * len(cuts)
    unsent: memoryview | None = None
    for turn in zip_longest(*pieces):
        for number, piece in enumerate(turn):
            if piece is not None:
                late = conversations[number].detached(conversations[number].receive(piece))
                if number == 0:  # sent only when all the others have received
                    unsent = late
                else:
                    said[number] += late
        if unsent is not None:
            said[0] += unsent
            unsent = None
        if data.draw(st.booleans()):
            scratch.look()
    for mine, these in zip(said, pieces, strict=True):
        assert mine == replies(talk(framing), these)


@given(framing=st.sampled_from(list(FRAMINGS)), pieces=st.lists(st.binary(), max_size=30))
def test_no_bytes_make_the_talk_raise_or_hold_more_than_it_may(
    framing: str, pieces: list[bytes]
) -> None:
    conversation = talk(framing)
    most = LIMIT + len(framed(b""))
    for piece in pieces:
        conversation.receive(piece)
        if conversation.over:  # what came last may have been too much, and nothing follows it
            most += len(piece)
        assert conversation.inbox.end - conversation.inbox.start <= most
        if conversation.over:
            break


def test_who_shares_memory_answers_some_at_a_time_and_then_the_next() -> None:
    prefix = b"re: "
    conversation = Talk(Terms("line", prefix), Scratch(len(prefix)))
    lines = [b"%d" % number for number in range(2 * MOST_ANSWERS + 1)]
    said = conversation.receive(b"".join(line + b"\n" for line in lines) + b"and ha")
    assert bytes(said) == b"".join(prefix + line + b"\n" for line in lines[:MOST_ANSWERS])
    assert conversation.more
    turns = []
    while conversation.more:
        turns.append(bytes(conversation.go_on()))
    assert turns == [
        b"".join(prefix + line + b"\n" for line in lines[MOST_ANSWERS : 2 * MOST_ANSWERS]),
        prefix + lines[-1] + b"\n",
    ]
    assert conversation.mid_message
    assert bytes(conversation.receive(b"lf\n")) == prefix + b"and half\n"


@pytest.mark.parametrize("work", [False, True])
@pytest.mark.parametrize("framing", ["line", "length"])
def test_what_comes_in_pieces_beyond_what_is_answered_at_a_time_is_told_apart(
    framing: str, work: bool
) -> None:
    prefix = b"re: "
    conversation = Talk(Terms(framing, prefix, work=work), Scratch(len(prefix)))
    stream = frame(framing, b"m") * 20_000
    said = [bytes(conversation.receive(stream[:1]))]  # from now on it has memory of its own
    said.append(bytes(conversation.receive(stream[1:])))
    while conversation.more:
        said.append(bytes(conversation.go_on()))
    assert b"".join(said) == frame(framing, prefix + b"m") * 20_000


def test_a_refusal_is_narrated_with_what_to_do() -> None:
    told: list[str] = []
    NarratedTalk(Terms(), told.append, None).receive(b"hello\n")
    [said] = told
    assert said.startswith("is refused: message of 1751477356 bytes is over the limit")
    assert said.endswith("(hell was taken for its length: to type by hand, use --framing line)")


def test_a_crowd_shares_what_goes_before_its_answers() -> None:
    first, second = talk(), talk()
    for one in (first, second):
        assert replies(one, [frame("length", b"hello")]) == frame("length", b"re: hello")
    assert first._front is second._front
