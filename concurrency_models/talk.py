"""The talk, with no socket in sight: bytes that arrived go in, bytes to send come out.

A `Talk` frames, bounds and answers the messages of one client. It never does I/O, so that blocking
loops and event loops drive the very same object, and a test needs nothing but bytes. A message is
answered where it was received: the reply's front is written before it, and it is never copied; of
several that came at once, once.
"""

import struct
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import ClassVar, Final

from concurrency_models import work
from concurrency_models.inbox import FIRST_SIZE, RECEIVE_SIZE, Bytes, Inbox, Scratch

HEADER: Final = struct.Struct("!I")

HEADER_SIZE: Final = HEADER.size
"""Bytes in front of a message under `length` framing: its size, unsigned, big-endian."""

LARGEST_LENGTH: Final = 2 ** (8 * HEADER_SIZE) - 1
"""The largest size, in bytes, that such a header can say."""

LARGEST_DATAGRAM: Final = 65_507
"""The most that fits into one UDP datagram over IPv4, in bytes: 65,535 less the headers."""

TALK_KINDS: Final = ("greet", "once", "loop")
"""The ladder that courses climb: send a greeting and close; answer one message and close; answer
messages until the client hangs up."""

MOST_ANSWERS: Final = 256
"""How many messages are answered in one go where others wait meanwhile; of those that may ask for
work, one."""

GREETING: Final = b"hello, and goodbye"


@dataclass(frozen=True)
class Terms:
    """What both sides of a talk agree on.

    framing: a key of `FRAMINGS`. reply_prefix: bytes put before each message in its answer.
    max_message: the longest message that is answered, in bytes. kind: one of `TALK_KINDS`.
    work: whether a message may ask for work, see `concurrency_models.work`.
    """

    framing: str = "length"
    reply_prefix: bytes = b"received: "
    max_message: int = 1 << 20
    kind: str = "loop"
    work: bool = False

    @cached_property
    def largest_frame(self) -> int:
        """The longest frame of a message that is answered, in bytes."""
        how = FRAMINGS[self.framing]
        return how.header_size + self.max_message + len(how.trailer)


def raw_frame_end(_data: Bytes, _start: int, _looked: int, end: int) -> int:
    """No framing: whatever one `recv` returned counts as a message. What beginners write.

    TCP promises a stream of bytes and no more, so two messages sent back to back may arrive as one
    and a long one in pieces. Kept so that a class can watch it happen.
    """
    return end


def line_frame_end(data: Bytes, _start: int, looked: int, end: int) -> int:
    """A message ends with a newline, as people type it into `nc` or `telnet`.

    A carriage return before the newline belongs to the message; an answer ends as its message did.
    """
    newline = data.find(b"\n", looked, end)  # new bytes only: a dribbled line costs no rescans
    return newline + 1 if newline >= 0 else end + 1


def length_frame_end(data: Bytes, start: int, _looked: int, end: int) -> int:
    """The size of a message goes before it, so that any bytes at all may be in it."""
    message = start + HEADER_SIZE
    if end < message:
        return message
    size: int = HEADER.unpack_from(data, start)[0]
    return message + size


def no_header(_size: int) -> bytes:
    """Nothing stands before a message, whatever its size."""
    return b""


@dataclass(frozen=True)
class Framing:
    """How the end of a message is known.

    frame_end: where in `data` the frame that begins at `start` ends, as far as can be told from the
    bytes up to `end`, those before `looked` having been searched; one that is not whole yet ends
    beyond `end`. header: returns what goes before a message of so many bytes, `header_size` bytes
    in all. trailer: what goes behind it.
    """

    frame_end: Callable[[Bytes, int, int, int], int]
    header: Callable[[int], bytes] = no_header
    header_size: int = 0
    trailer: bytes = b""


FRAMINGS: Final[dict[str, Framing]] = {
    "length": Framing(length_frame_end, header=HEADER.pack, header_size=HEADER_SIZE),
    "line": Framing(line_frame_end, trailer=b"\n"),
    "raw": Framing(raw_frame_end),
}


def frame(framing: str, message: bytes) -> bytes:
    """Return the bytes that carry `message` under `framing`, a key of `FRAMINGS`."""
    how = FRAMINGS[framing]
    return how.header(len(message)) + message + how.trailer


class Talk:
    """One conversation with one client, from its first byte to its last.

    Whoever drives it receives into `room`, sends what `open` and `received` return, in order, and
    closes the connection once `over` is true and all of that is sent. A reply may lie in memory
    that is received into next: have it sent before, or `detached`.

    scratch: memory that it shares with other talks; None if it does not. Talks that share memory
    share a thread as well: there, a client that sends many messages at a time is answered some of
    them, and `go_on` has the next ones once others had their turn.
    """

    __slots__ = (
        "_before", "_frame_end", "_front", "_front_size", "_headroom", "_largest_frame", "_most",
        "_plain", "_terms", "answered_in_batches", "inbox", "more", "over", "room",
    )  # fmt: skip

    in_place: ClassVar[bool] = True
    """Whether messages are sent from where they were received, and `answer` sees none of them."""

    def __init__(self, terms: Terms, scratch: Scratch | None = None) -> None:
        self._terms = terms
        framing = FRAMINGS[terms.framing]
        # Looked up for every message, so each is one step away.
        self._plain = self._is_plain()
        self._frame_end = framing.frame_end
        self._headroom = len(terms.reply_prefix)
        self._before = framing.header_size
        self._front_size = -1
        self._front = b""
        self._largest_frame = terms.largest_frame
        # One `recv` is one message, if nothing else tells them apart: it must not be cut short.
        first_size = RECEIVE_SIZE if terms.framing == "raw" else FIRST_SIZE
        self.inbox = inbox = Inbox(self._headroom, first_size, scratch)
        self.room = inbox.room
        """Returns memory to receive into, a byte at the least: tell `received` how much came."""
        self._most = sys.maxsize
        if scratch and scratch.memory:
            self._most = 1 if terms.work else MOST_ANSWERS
        self.over = False
        """True once there is nothing more to say: close when all is sent."""
        self.more = False
        """Whether whole messages are left to be answered: call `go_on` before receiving."""
        self.answered_in_batches = 0
        """How many messages were answered that had not come alone and whole. A message that has
        begun is still the same one for as long as this stays the same."""

    def _is_plain(self) -> bool:
        return self.in_place and not self._terms.work and self._terms.kind != "once"

    def retire(self) -> None:
        """Be there for another client: this one has left, and nobody is at its messages."""
        if type(self) is Talk:  # one that tells of its messages tells of this client's
            SPARES.append(self)

    def begins_anew(self, terms: Terms, scratch: Scratch | None) -> bool:
        """Forget the client; return whether it is as one that is made with that."""
        if self.over:
            self._plain = self._is_plain()
            self.over = False
        self.more = False
        self.answered_in_batches = 0
        return terms is self._terms and self.inbox.begins_anew(scratch)

    @property
    def _trailer(self) -> bytes:
        return FRAMINGS[self._terms.framing].trailer

    def _end(self) -> None:
        self.over = True
        self._plain = False  # nothing is answered any more: so `received` need not look

    @property
    def mid_message(self) -> bool:
        """Whether a part of a message has arrived and the rest has not."""
        return not self.over and self.inbox.end > self.inbox.start

    def open(self) -> bytes:
        """Return what the server says first, unasked: nothing, except under `greet`."""
        if self._terms.kind != "greet":
            return b""
        self._end()
        return frame(self._terms.framing, GREETING)

    def received(self, size: int) -> bytes | memoryview:
        """Take the `size` bytes that came into `room`; return those to send: every answer now due.

        0 means that the client hung up; the talk is then over. Never raises, whatever the bytes;
        holds back `max_message` bytes and what one `recv` returned, at the most.
        """
        if not size:
            self._end()
            return b""
        inbox = self.inbox
        start, looked = inbox.start, inbox.end
        end = looked + size
        # Nearly always, exactly one whole message has come.
        if looked == start and end < inbox.brim and self._plain:
            frame_end = self._frame_end(inbox.data, start, start, end)
            if frame_end == end and end - start <= self._largest_frame:
                return self._answer_in_place(start, end)
        # While there is more to answer, what came before was not searched to its end.
        return self._answers(start, start if self.more else looked, end)

    def go_on(self) -> bytes | memoryview:
        """Return what is to be sent next while there is `more` to answer."""
        return self._answers(self.inbox.start, self.inbox.start, self.inbox.end)

    def receive(self, data: bytes) -> bytes | memoryview:
        """Do as `received` for bytes that something else has received."""
        room = self.room()
        if len(data) <= len(room):
            room[: len(data)] = data
            return self.received(len(data))
        replies = []
        while data:
            replies.append(bytes(self.receive(data[: len(room)])))
            data = data[len(room) :]
            room = self.room()
        return b"".join(replies)

    def detached(self, reply: bytes | memoryview) -> memoryview:
        """Return a reply, or what is left to send of it, so that it outlives what others receive.

        This talk itself must not receive before it is sent.
        """
        return self.inbox.detached(memoryview(reply))

    def _answer_in_place(self, start: int, end: int) -> memoryview:
        """Write before a whole message what makes it an answer; the message stays where it is."""
        if end - start != self._front_size:
            self._make_front(end - start)
        view = self.inbox.view
        begin = start - self._headroom
        view[begin : start + self._before] = self._front
        return view[begin:end]

    def _make_front(self, size: int) -> None:
        """Have at hand what goes before the answer to a frame of `size` bytes."""
        self._front_size = size
        self._front = front_of(self._terms.framing, self._terms.reply_prefix, size)

    def _pieces(self, frames: list[tuple[int, int]]) -> Iterator[bytes | memoryview]:
        """Yield the answers to several whole messages, as pieces that lie where they are."""
        view = self.inbox.view
        for start, end in frames:
            if end - start != self._front_size:
                self._make_front(end - start)
            yield self._front
            yield view[start + self._before : end]

    def _answers(self, start: int, looked: int, end: int) -> bytes | memoryview:
        """Answer all whole messages; refuse one that is too long, and look at nothing behind it."""
        inbox = self.inbox
        frames: list[tuple[int, int]] = []
        last_word = b""
        self.more = False
        while start < end and not self.over:
            frame_end = self._frame_end(inbox.data, start, max(start, looked), end)
            if frame_end - start > self._largest_frame:
                self._end()
                size = frame_end - start - self._before - len(self._trailer)
                header = bytes(inbox.data[start : start + self._before])
                last_word = frame(self._terms.framing, self.refuse(size, header))
            elif frame_end <= end:
                if len(frames) == self._most:
                    self.more = True
                    break
                frames.append((start, frame_end))
                start = frame_end
                self.over = self._terms.kind == "once"
            else:
                break
        self.answered_in_batches += len(frames)
        reply: bytes | memoryview
        if len(frames) == 1 and self._plain and not last_word:
            reply = self._answer_in_place(*frames[0])
        elif self._plain:
            reply = b"".join([*self._pieces(frames), last_word])
        else:
            reply = b"".join([*(self._answer_apart(*one) for one in frames), last_word])
        inbox.hold(end if self.over else start, end)
        return reply

    def _answer_apart(self, start: int, frame_end: int) -> bytes:
        message = self.inbox.view[start + self._before : frame_end - len(self._trailer)]
        return frame(self._terms.framing, self.answer(bytes(message)))

    def receive_datagram(self, message: bytes) -> bytes:
        """Take a message that came as one datagram and return the one to send back: no framing."""
        if len(message) > self._terms.max_message:
            return refusal(len(message), self._terms.max_message)
        answer = self.answer(message)
        if len(answer) > LARGEST_DATAGRAM:
            return refusal(len(message), LARGEST_DATAGRAM - self._headroom)
        return answer

    def refuse(self, size: int, header: bytes) -> bytes:
        """Return what is said, not framed, of a message of `size` bytes that is too long.

        header: what it was told by, empty where a frame has none.
        """
        return refusal(size, self._terms.max_message) + typing_hint(header)

    def answer(self, message: bytes) -> bytes:
        """Return the answer to one whole message, not framed."""
        if self._terms.work:
            message = work.perform(message)
        return self._terms.reply_prefix + message


@lru_cache(maxsize=256)
def front_of(framing: str, reply_prefix: bytes, size: int) -> bytes:
    """Return what goes before the answer to a frame of `size` bytes, in place of its header.

    The talks of a crowd share it: a copy for each of 10,000 clients is half a megabyte.
    """
    how = FRAMINGS[framing]
    growth = len(reply_prefix) - how.header_size - len(how.trailer)
    return how.header(size + growth) + reply_prefix


SPARES: Final[deque[Talk]] = deque(maxlen=16)
"""Those that are over, for clients that come: making a talk and its memory was an eighth of what
our code costs a client who comes, asks once and goes."""


def take_talk(terms: Terms, scratch: Scratch | None = None) -> Talk:
    """Return a talk that begins: one that has retired, where there is one on the same terms."""
    try:
        spare = SPARES.pop()
    except IndexError:
        return Talk(terms, scratch)
    return spare if spare.begins_anew(terms, scratch) else Talk(terms, scratch)


def refusal(size: int, limit: int) -> bytes:
    """Return what is said to a client whose message has more bytes than it may."""
    return b"message of %d bytes is over the limit of %d bytes" % (size, limit)


def typing_hint(header: bytes) -> bytes:
    """Return what to do where the header of a message looks like what somebody has typed."""
    if not header or not header.isascii() or not header.decode().isprintable():
        return b""
    return b" (%b was taken for its length: to type by hand, use --framing line)" % header
