"""One client of a server that ends each talk itself: after a greeting, or after one reply.

A talk is right when exactly the expected bytes came and the end of the stream behind them.
Its latency ends with the last of those bytes. A greeting's begins with connecting, for that is all
that a client does to get one.
"""

from __future__ import annotations

from loadgen.engine.client import WAITING, Client
from loadgen.engine.clock import clock


class ShortTalkClient(Client):
    """A client that has one message, or one greeting, on each connection."""

    # The hot loop knows nothing of ends of streams.
    steadies = False

    __slots__ = ("_complete_at",)

    def next_message(self, now: int) -> None:
        """Do what comes after a connect or a reply, at the time `now`."""
        more = self.message - self.first_message < self.group.last_message
        if more and self.sock is not None and not self.request_size:
            # A greeting is on its way as soon as the connection stands, be the load on or off.
            self.begin(now)
        else:
            super().next_message(now)

    def begin(self, due: int) -> None:
        """Begin the one exchange of this connection."""
        self._complete_at = 0
        if self.request_size:
            super().begin(due)
            return
        _, self.expected = self.request_at(self.message)
        self.message += 1
        self.state = WAITING
        self.sent_at = self.due = self.connect_started

    def received(self, data: bytes) -> None:
        """Take what one recv() returned; the reply counts once the stream has ended behind it."""
        if self.state != WAITING:
            super().received(data)
        elif data:
            self.group.bytes_received += len(data)
            if self.partial is None:
                self.partial = bytearray()
            self.partial += data
            if len(self.partial) > len(self.expected):
                self.fail("EPROTO")
            elif self.partial == self.expected:
                self._complete_at = clock()
        elif self._complete_at and self.unsent is None:
            self.close()
            self.answer_came(self._complete_at)
        else:
            self.fail("EOF")
