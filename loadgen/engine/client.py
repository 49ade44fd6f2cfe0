"""One client over a stream: it connects, talks, waits, and says how it ended.

A message is right when the reply equals the expected bytes. A whole reply with other bytes is
wrong, and the client goes on. Where a reply ends is said by the framing, else by the expected size.
A reply that brings more bytes than its own is wrong as well; the connection is then out of step and
is closed, counted under EPROTO. So is a wrong reply without an end that could be known, once its
time is up.
"""

from __future__ import annotations

import errno
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from loadgen.plan.messages import RING
from loadgen.plan.plan import Plan
from loadgen.record.tally import Lane

if TYPE_CHECKING:
    from loadgen.engine.group_load import GroupLoad

# CLOCK_MONOTONIC: one clock for every process of a machine, and no steps in it.
clock = time.monotonic_ns
SECOND = 1_000_000_000
MILLISECOND = 1_000_000

# The values of poll(2) and epoll(7) are the same for these.
READABLE, WRITABLE = 1, 4

BACKOFF_FIRST_NS = 10 * MILLISECOND
BACKOFF_LONGEST_NS = SECOND // 2
# A unix socket's connect() does not wait for room in the server's queue; it has to be tried again.
UNIX_RETRY_NS = MILLISECOND

# What a client does at the moment.
NEW, CONNECTING, FREE, WAITING, PAUSING, RETRYING, ENDED = range(7)

REFUSED = frozenset({"ECONNREFUSED", "ENOENT"})
LOST = frozenset({"ECONNRESET", "EPIPE", "EOF"})


class Client:
    """One client over TCP or a unix socket: it connects, talks, waits, and says how it ended."""

    __slots__ = (
        "answered",
        "answered_before_window",
        "backoff",
        "connect_started",
        "connected_at",
        "counts",
        "due",
        "ended_at",
        "expected",
        "first_reply_at",
        "first_started",
        "first_turn",
        "load",
        "number",
        "on_connection",
        "pairs",
        "partial",
        "queue",
        "recv",
        "request_size",
        "room",
        "send",
        "sent_at",
        "settled",
        "sock",
        "state",
        "steady",
        "trouble",
        "turn",
        "unsent",
        "wake_at",
    )

    # Can clients of this kind be left to the hot loop?
    steadies: ClassVar = True

    recv: Callable[[int], bytes]
    send: Callable[[bytes], int]

    def __init__(self, load: GroupLoad, number: int) -> None:
        self.load = load
        self.number = number
        self.sock: socket.socket | None = None
        self.state = NEW
        # May the hot loop send this client's next message by itself?
        self.steady = False
        self.pairs = load.messages.pairs
        # Begun messages, from a place in the ring of the client's own.
        self.turn = self.first_turn = number
        self.expected = b""
        self.request_size = load.messages.request_size
        self.room = load.room
        self.counts = load.service.counts
        self.partial: bytearray | None = None
        self.unsent: memoryview | None = None
        self.queue: deque[int] | None = None
        self.sent_at = self.due = 0
        self.answered = self.answered_before_window = self.on_connection = 0
        self.backoff = BACKOFF_FIRST_NS
        # Why the last connection failed, while another is to come.
        self.trouble = ""
        self.wake_at = 0
        # Has the first attempt to connect come to an end?
        self.settled = False
        self.first_started = self.connect_started = 0
        self.connected_at = self.first_reply_at = self.ended_at = 0

    @staticmethod
    def framed(plan: Plan) -> Plan:
        """The plan with the framing that this kind of client really uses."""
        return plan

    # Connecting

    def connect(self) -> None:
        """Begin a connection; one over loopback is nearly always complete when this returns."""
        engine = self.load.engine
        self.state = CONNECTING
        self.connect_started = now = clock()
        self.first_started = self.first_started or now
        try:
            self.sock = engine.open_socket()
        except OSError as error:
            self.fail(error_name(error))
            return
        self._try_connect()

    def _try_connect(self) -> None:
        engine, sock = self.load.engine, self.sock
        assert sock is not None
        try:
            error = sock.connect_ex(engine.sockaddr)
        except OSError as problem:
            self.fail(error_name(problem))
            return
        if error == errno.EAGAIN:
            engine.wake(self, clock() + UNIX_RETRY_NS)
            return
        if error not in (0, errno.EINPROGRESS):
            self.fail(errno.errorcode.get(error, str(error)))
            return
        if error:
            try:
                # Asking spares a wait in the poller for what the kernel has completed already, and
                # gives the time of this connect rather than that of a burst of connects.
                sock.getpeername()
            except OSError:
                engine.register(sock, self, READABLE | WRITABLE)
                return
        engine.register(sock, self, READABLE)
        self._connected()

    def _connected(self) -> None:
        load, sock = self.load, self.sock
        assert sock is not None
        now = clock()
        load.tally.connect.record(now - self.connect_started)
        load.tally.connections += 1
        if not self.connected_at:
            self.connected_at = now
            load.tally.connected += 1
        self.settle()
        self.recv = sock.recv
        self.send = sock.send
        self.on_connection = 0
        self.state = FREE
        self.next_message(now)

    def settle(self) -> None:
        """Tell the engine, once, that the first attempt to connect is over."""
        if not self.settled:
            self.settled = True
            self.load.engine.one_settled()

    # Talking

    def next_message(self, now: int) -> None:
        """Do what comes after a connect or a reply, at the time `now`."""
        load = self.load
        if self.turn - self.first_turn >= load.last_message:
            self.end(now)
        elif load.engine.draining or load.group.silent:
            pass
        elif self.on_connection >= load.per_connection:
            self.close()
            if load.think_ns:
                self._pause(now)
            else:
                self.connect()
        elif load.open_loop:
            if self.queue:
                self.begin(self.queue.popleft())
        elif load.think_ns and self.on_connection:
            self._pause(now)
        else:
            self.begin(now)

    def _pause(self, now: int) -> None:
        """Think, with a connection or without one."""
        self.state = PAUSING
        self.load.engine.wake(self, now + self.load.think())

    def request_at(self, turn: int) -> tuple[bytes, bytes]:
        """The message of that turn and the reply to expect."""
        return self.pairs[turn & (RING - 1)]

    def begin(self, due: int) -> None:
        """Send the next message, which was due at that time."""
        request, self.expected = self.request_at(self.turn)
        self.turn += 1
        self.state = WAITING
        self.due = due
        self.sent_at = clock()
        try:
            sent = self.send(request)
        except OSError as error:
            self.send_failed(request, error)
            return
        if sent != self.request_size:
            self.sent_in_part(request, sent)

    def send_failed(self, request: bytes, error: OSError) -> None:
        """No byte of the request went out, because there is no room or because of worse."""
        if isinstance(error, BlockingIOError):
            self.sent_in_part(request, 0)
        else:
            self.load.tally.bytes_sent -= len(request)
            self.fail(error_name(error))

    def sent_in_part(self, request: bytes, sent: int) -> None:
        """Send the rest when there is room."""
        assert self.sock is not None
        self.unsent = memoryview(request)[sent:]
        self.steady = False
        self.load.engine.modify(self.sock, READABLE | WRITABLE)

    def fall_due(self, due: int) -> None:
        """A message of the open loop is due: send it now, or as soon as the client is free."""
        load = self.load
        if self.state == ENDED or not self.connected_at:
            return
        load.due_messages += 1
        if self.state == FREE and not self.queue and not load.engine.draining:
            load.lateness.record(clock() - due)
            self.begin(due)
        else:
            if self.queue is None:
                self.queue = deque()
            self.queue.append(due)

    def ready(self, event: int) -> None:
        """Act on what the poller said about this client's socket."""
        sock = self.sock
        if sock is None:
            return
        if self.state == CONNECTING:
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                self.fail(errno.errorcode.get(error, str(error)))
                return
            self.load.engine.modify(sock, READABLE)
            self._connected()
            return
        if event & WRITABLE and self.unsent is not None:
            self._send_rest(self.unsent)
        if event & ~WRITABLE and self.sock is sock:
            try:
                data = sock.recv(self.room)
            except BlockingIOError:
                return
            except OSError as error:
                self.fail(error_name(error))
                return
            self.received(data)

    def _send_rest(self, unsent: memoryview) -> None:
        assert self.sock is not None
        try:
            sent = self.sock.send(unsent)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(error_name(error))
            return
        self.unsent = unsent[sent:] or None
        if self.unsent is None:
            self.load.engine.modify(self.sock, READABLE)

    def received(self, data: bytes) -> None:
        """Take what one recv() returned, b"" for the end of the stream."""
        if not data:
            self.fail("EOF")
            return
        load = self.load
        load.bytes_received += len(data)
        if self.state != WAITING:
            # Nobody asked. No message is wrong, but the connection is of no more use.
            self.fail("EPROTO")
            return
        reply: bytes | bytearray = data
        if self.partial is not None:
            self.partial += data
            reply = self.partial
        if reply == self.expected and self.unsent is None:
            self.partial = None
            self.answer_came(clock())
            return
        end = load.messages.reply_end(reply)
        if end is None:
            self.partial = bytearray(data) if self.partial is None else self.partial
            return
        self.partial = None
        load.tally.wrong += 1
        self.state = FREE
        if end != len(reply) or self.unsent is not None:
            self.fail("EPROTO")
        else:
            self.on_connection += 1
            self.next_message(clock())

    def answer_came(self, now: int) -> None:
        """Count the right reply that came at the time `now`, and go on."""
        load = self.load
        load.service.record(now - self.sent_at)
        if load.open_loop:
            load.response.record(now - self.due)
        load.answered_slowly += 1
        self.answered += 1
        self.on_connection += 1
        self.backoff = BACKOFF_FIRST_NS
        self.state = FREE
        if not self.first_reply_at:
            self.first_reply_at = now
            load.tally.first_reply.record(now - self.first_started)
            load.tally.served += 1
        self.next_message(now)
        self.steady = load.endless and self.state == WAITING and self.unsent is None

    # Time

    def wake(self, now: int) -> None:
        """The time that `Engine.wake` was asked for has come."""
        if self.state == PAUSING:
            self.state = FREE
            if self.load.engine.draining:
                return
            if self.sock is None:
                self.connect()
            else:
                self.begin(now)
        elif self.state == CONNECTING:
            self._try_connect()
        elif self.state == RETRYING and not self.load.engine.draining:
            self.connect()

    def check_time(self, oldest: int) -> None:
        """Give up on what began before `oldest`."""
        began = {WAITING: self.sent_at, CONNECTING: self.connect_started}.get(self.state, oldest)
        if began < oldest:
            self.fail("ETIMEDOUT")

    # Ending

    def fail(self, name: str) -> None:
        """The connection is lost, or never came to be, for the reason `name`."""
        load, tally = self.load, self.load.tally
        failed = 0
        if self.state == WAITING:
            if self._mismatched():
                tally.wrong += 1
                name = "EPROTO"
            else:
                failed = 1
        self.close()
        self.settle()
        if load.backs_off:
            self.state = RETRYING
            self.trouble = name
            load.engine.wake(self, clock() + self.backoff)
            self.backoff = min(2 * self.backoff, BACKOFF_LONGEST_NS)
        else:
            # Nobody is left to send what was due.
            failed += len(self.queue or ())
            self.queue = None
            self._count_end(name)
            self.end(clock())
        tally.failed += failed
        tally.count_error(name, max(failed, 1))

    def _count_end(self, name: str) -> None:
        tally = self.load.tally
        if name in REFUSED:
            tally.refused += 1
        elif name in LOST:
            tally.reset += 1
        elif name == "ETIMEDOUT":
            tally.timed_out += 1
        else:
            tally.other_failed += 1

    def _mismatched(self) -> bool:
        """Whether the part of a reply that has come can no longer become the right one."""
        return self.partial is not None and not self.expected.startswith(self.partial)

    def close(self) -> None:
        """Close the connection, if there is one, and forget what was under way on it."""
        if self.sock is None:
            return
        if self.unsent is not None:
            self.load.tally.bytes_sent -= len(self.unsent)
            self.unsent = None
        self.load.engine.unregister(self.sock)
        self.sock.close()
        self.sock = None
        self.partial = None
        self.steady = False

    def end(self, now: int) -> None:
        """This client is done, for better or worse."""
        if self.state != ENDED:
            self.close()
            self.state = ENDED
            self.ended_at = now
            self.load.engine.one_ended(self.load)

    def finish(self) -> None:
        """The run is over: say what is still open, and close."""
        tally = self.load.tally
        tally.waiting += len(self.queue or ())
        if self.state == WAITING:
            if self._mismatched():
                tally.wrong += 1
            else:
                tally.waiting += 1
        elif self.load.group.silent and self.state == FREE:
            tally.held += 1
        elif self.state == RETRYING:
            self._count_end(self.trouble)
        self.close()

    def lane(self, started: int) -> Lane:
        """This client's life in seconds since `started`."""
        times = (self.first_started, self.connected_at, self.first_reply_at, self.ended_at)
        first = [(moment - started) / SECOND if moment else None for moment in times]
        return Lane(self.number, first[0], first[1], first[2], first[3], self.answered)


def error_name(error: OSError) -> str:
    """The error's name, such as ECONNRESET."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
