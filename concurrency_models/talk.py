"""The conversation, with no socket in sight: bytes that arrived go in, bytes to send come out.

A `Talk` frames, bounds and answers the messages of one client. It never does I/O, so that blocking
loops and event loops drive the very same object, and a test needs nothing but bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from concurrency_models import work

HEADER_SIZE: Final = 4
"""Bytes in front of a message under `length` framing: its size, unsigned, big-endian."""

RECEIVE_SIZE: Final = 65_536
"""Bytes to ask of one `recv`: as much as a client may make us hold before we look at it."""

LARGEST_LENGTH: Final = 2 ** (8 * HEADER_SIZE) - 1
"""The largest size, in bytes, that such a header can say."""

LARGEST_DATAGRAM: Final = 65_507
"""The most that fits into one UDP datagram over IPv4, in bytes: 65,535 less the headers."""

TALK_KINDS: Final = ("greet", "once", "loop")
"""The ladder that courses climb: send a greeting and close; answer one message and close; answer
messages until the client hangs up."""

GREETING: Final = b"hello, and goodbye"


@dataclass(frozen=True)
class Terms:
    """What both sides of a conversation agree on.

    framing: a key of `FRAMINGS`. reply_prefix: bytes put before each message in its answer.
    max_message: the longest message that is answered, in bytes. kind: one of `TALK_KINDS`.
    work: whether a message may ask for work, see `concurrency_models.work`.
    """

    framing: str = "length"
    reply_prefix: bytes = b"received: "
    max_message: int = 1 << 20
    kind: str = "loop"
    work: bool = False


class RawSplitter:
    """No framing: whatever one `recv` returned counts as a message. What beginners write.

    TCP promises a stream of bytes and no more, so two messages sent back to back may arrive as one
    and a long one in pieces. Kept so that a class can watch it happen.
    """

    pending_size: ClassVar[int] = 0
    """Bytes held back because they are not yet a whole message; raw never holds any."""

    def __init__(self, max_message: int) -> None:
        self._max_message = max_message
        self.too_long: int | None = None
        """The size, in bytes, of a message over the limit; what follows it is not looked at."""

    def split(self, data: bytes) -> list[bytes]:
        """Take bytes that arrived, return the messages that they complete, in order."""
        if len(data) > self._max_message:
            self.too_long = len(data)
            return []
        return [data]

    @staticmethod
    def frame(message: bytes) -> bytes:
        """Return the bytes that carry `message` over the stream."""
        return message


class LineSplitter:
    r"""A message ends with a newline, as people type it into `nc` or `telnet`.

    A carriage return before the newline belongs to the message; an answer ends as its message did.
    """

    def __init__(self, max_message: int) -> None:
        self._max_message = max_message
        self._pending = bytearray()
        self.too_long: int | None = None

    @property
    def pending_size(self) -> int:
        return len(self._pending)

    def split(self, data: bytes) -> list[bytes]:
        *ends, rest = data.split(b"\n")
        messages: list[bytes] = []
        for end in ends:
            message = end
            if self._pending:  # only the new bytes were searched: a dribbled line costs no rescans
                message = bytes(self._pending) + end
                self._pending.clear()
            if len(message) > self._max_message:
                self.too_long = len(message)
                return messages
            messages.append(message)
        self._pending += rest
        if len(self._pending) > self._max_message:
            self.too_long = len(self._pending)
        return messages

    @staticmethod
    def frame(message: bytes) -> bytes:
        return message + b"\n"


class LengthSplitter:
    """The size of a message goes before it, so that any bytes at all may be in it."""

    def __init__(self, max_message: int) -> None:
        self._max_message = max_message
        self._pending = bytearray()
        self.too_long: int | None = None

    @property
    def pending_size(self) -> int:
        return len(self._pending)

    def split(self, data: bytes) -> list[bytes]:
        # Nearly always, exactly one whole message arrives. Looking for that first takes a third off
        # the cost of a talk and spares every such message a copy into and out of a buffer.
        size = len(data) - HEADER_SIZE
        if 0 <= size <= self._max_message and not self._pending:
            header = size.to_bytes(HEADER_SIZE, "big")
            if data[:HEADER_SIZE] == header:
                return [data[HEADER_SIZE:]]
        self._pending += data
        return self._take_whole_messages()

    def _take_whole_messages(self) -> list[bytes]:
        messages: list[bytes] = []
        start = 0
        while len(self._pending) - start >= HEADER_SIZE:
            body = start + HEADER_SIZE
            size = int.from_bytes(self._pending[start:body], "big")
            if size > self._max_message:
                self.too_long = size
                break
            if len(self._pending) < body + size:
                break
            messages.append(bytes(self._pending[body : body + size]))
            start = body + size
        del self._pending[:start]
        return messages

    @staticmethod
    def frame(message: bytes) -> bytes:
        return len(message).to_bytes(HEADER_SIZE, "big") + message


Splitter = RawSplitter | LineSplitter | LengthSplitter

FRAMINGS: Final[dict[str, type[Splitter]]] = {
    "length": LengthSplitter,
    "line": LineSplitter,
    "raw": RawSplitter,
}
"""How the end of a message is known: name -> the class that splits a stream that way."""


def frame(framing: str, message: bytes) -> bytes:
    """Return the bytes that carry `message` under `framing`, a key of `FRAMINGS`."""
    return FRAMINGS[framing].frame(message)


class Talk:
    """One conversation with one client, from its first byte to its last.

    Whoever drives it sends what `open()` and `receive()` return, in order, and closes the
    connection once `over` is true and all of that is sent.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        # Looked up for every message, so each is one step away.
        self._prefix = terms.reply_prefix
        self._once = terms.kind == "once"
        self._work = terms.work
        self._splitter = FRAMINGS[terms.framing](terms.max_message)
        self._split: Callable[[bytes], list[bytes]] = self._splitter.split
        self._frame: Callable[[bytes], bytes] = self._splitter.frame
        self.over = False
        """True once there is nothing more to say: close when all is sent."""

    @property
    def mid_message(self) -> bool:
        """Whether a part of a message has arrived and the rest has not."""
        return not self.over and self._splitter.pending_size > 0

    def open(self) -> bytes:
        """Return what the server says first, unasked: nothing, except under `greet`."""
        if self._terms.kind != "greet":
            return b""
        self.over = True
        return self._frame(GREETING)

    def receive(self, data: bytes) -> bytes:
        """Take bytes as `recv` returned them and return the bytes to send: every answer now due.

        `b""` in means that the client hung up; the talk is then over. Never raises, whatever the
        bytes; holds back `max_message` bytes and what one `recv` returned, at the most.
        """
        if not data:
            self.over = True
        if self.over:
            return b""
        replies = []
        for message in self._split(data):
            replies.append(self._frame(self.answer(message)))
            if self._once:
                self.over = True
                break
        if self._splitter.too_long is not None and not self.over:
            self.over = True
            refusal = self._refusal(self._splitter.too_long, self._terms.max_message)
            replies.append(self._frame(refusal))
        return b"".join(replies)

    def receive_datagram(self, message: bytes) -> bytes:
        """Take a message that came as one datagram and return the one to send back: no framing."""
        if len(message) > self._terms.max_message:
            return self._refusal(len(message), self._terms.max_message)
        answer = self.answer(message)
        if len(answer) > LARGEST_DATAGRAM:
            return self._refusal(len(message), LARGEST_DATAGRAM - len(self._prefix))
        return answer

    def answer(self, message: bytes) -> bytes:
        """Return the answer to one whole message, not framed."""
        if self._work:
            message = work.perform(message)
        return self._prefix + message

    @staticmethod
    def _refusal(size: int, limit: int) -> bytes:
        return b"message of %d bytes is over the limit of %d bytes" % (size, limit)
