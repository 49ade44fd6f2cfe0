"""One client over UDP: one numbered datagram at a time, so that none is mistaken for another.

A reply that does not come within the timeout is lost: counted as failed, and the client goes on.
What comes after that is late; what comes for a message that was answered already is duplicated.
Neither answers anything. There is no connection, so none is counted and no time to connect is
measured.
"""

from __future__ import annotations

from dataclasses import replace

from loadgen.engine.client import FREE, WAITING, Client, error_name
from loadgen.engine.clock import clock
from loadgen.engine.poller import READABLE
from loadgen.plan.plan import Plan

# Digits of the number at the start of a payload, as far as the payload has room.
NUMBER_DIGITS = 8
# Numbers remembered as lost, per client: a reply that is later than this many losses counts as
# duplicated.
REMEMBERED_LOSSES = 256


class DatagramClient(Client):
    """A client whose messages and replies are a datagram each, without framing."""

    # The hot loop sends from the ring as it stands, without numbers.
    steadies = False

    __slots__ = ("_digits", "_lost", "_numbers", "_prefix")

    @staticmethod
    def framed(plan: Plan) -> Plan:
        """Datagrams keep their bounds: there is no framing."""
        return replace(plan, framing="raw")

    def connect(self) -> None:
        """Open a socket that talks to the server alone; no packet is sent for this."""
        planned = self.group.planned
        # Someone else's messages, and work, have no room for a number.
        verbatim = planned.request is not None or planned.work is not None
        self._digits = 0 if verbatim else min(NUMBER_DIGITS, planned.size_bytes)
        self._numbers = int(10**self._digits)
        self._prefix = self.group.reply_prefix
        self._lost: dict[bytes, None] = {}
        now = clock()
        self.first_started = self.connect_started = self.connected_at = now
        try:
            self.sock = self.loop.open_socket()
            self.sock.connect(self.loop.sockaddr)
        except OSError as error:
            self.fail(error_name(error))
            return
        self.loop.register(self.sock, self, READABLE)
        self.group.tally.connected += 1
        self.settle()
        self.send = self.sock.send
        self.state = FREE
        self.next_message(now)

    def request_at(self, message: int) -> tuple[bytes, bytes]:
        """The message of that number and its reply, with the number at the start of both."""
        request, reply = super().request_at(message)
        if not self._digits:
            return request, reply
        numbered = self._number(message) + request[self._digits :]
        return numbered, self._prefix + numbered

    def received(self, data: bytes) -> None:
        """Take one datagram."""
        tally = self.group.tally
        self.group.bytes_received += len(data)
        if self.state == WAITING and data == self.expected:
            self.answer_came(clock())
            return
        start = len(self._prefix)
        number = data[start : start + self._digits] if data.startswith(self._prefix) else b""
        if self._digits and number in self._lost:
            del self._lost[number]
            tally.late += 1
        elif self._digits and self._was_answered(number):
            tally.duplicated += 1
        elif self.state == WAITING:
            tally.wrong += 1
            self.state = FREE
            self.next_message(clock())
        else:
            tally.count_error("EPROTO")

    def check_time(self, oldest: int) -> None:
        """Count a datagram whose reply is overdue as lost, and go on."""
        if self.state != WAITING or self.sent_at >= oldest:
            return
        tally = self.group.tally
        tally.lost += 1
        tally.failed += 1
        tally.count_error("ETIMEDOUT")
        if self._digits:
            self._lost[self._number(self.message - 1)] = None
            if len(self._lost) > REMEMBERED_LOSSES:
                del self._lost[next(iter(self._lost))]
        self.state = FREE
        self.next_message(clock())

    def _number(self, message: int) -> bytes:
        return b"%0*d" % (self._digits, message % self._numbers)

    def _was_answered(self, number: bytes) -> bool:
        """Whether a message of that number was sent before the one that is out now."""
        if not number.isdigit():
            return False
        age = (self.message - 1 - int(number)) % self._numbers
        return int(self.state == WAITING) <= age < self.message - self.first_message
