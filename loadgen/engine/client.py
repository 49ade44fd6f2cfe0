"""One client over a stream: it connects, talks, waits, and says how it ended.

A message is right when the reply equals the expected bytes. A whole reply with other bytes is
wrong, and the client goes on. Where a reply ends is said by the framing, else by the expected size.
A reply that brings more bytes than its own is wrong as well; the connection is then out of step and
is closed, counted under EPROTO. So is a wrong reply without an end that could be known, once its
time is up.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import ClassVar, Protocol

from loadgen.engine.clock import MILLISECOND, NEVER, SECOND, clock
from loadgen.engine.group_state import GroupState
from loadgen.engine.poller import READABLE, WRITABLE
from loadgen.engine.tcp_info import bytes_sent
from loadgen.plan.messages import RING
from loadgen.plan.plan import Plan
from loadgen.record.tally import Lane

BACKOFF_FIRST_NS = 10 * MILLISECOND
BACKOFF_LONGEST_NS = SECOND // 2
# A unix socket's connect() does not wait for room in the server's queue; it has to be tried again.
UNIX_RETRY_NS = MILLISECOND

# What a client does at the moment.
NEW, CONNECTING, FREE, WAITING, PAUSING, RETRYING, ENDED = range(7)

REFUSED = frozenset({"ECONNREFUSED", "ENOENT"})
LOST = frozenset({"ECONNRESET", "EPIPE", "EOF"})


class Loop(Protocol):
    """What a client asks of the loop that it is in."""

    @property
    def sockaddr(self) -> tuple[str, int] | str:
        """Where the server is, as `socket.connect` takes it."""

    @property
    def holding(self) -> bool:
        """Whether the load is off: no message is begun, replies to others may still come."""

    @property
    def introducing(self) -> bool:
        """Whether clients that talk without end have one reply, and then wait for the others."""

    def open_socket(self) -> socket.socket:
        """A non-blocking socket for one connection. Raises OSError."""

    def register(self, sock: socket.socket, client: Client, events: int) -> None:
        """Call the client's `ready` on these events of its socket."""

    def modify(self, sock: socket.socket, events: int) -> None:
        """Have a registered socket's client hear of other events."""

    def unregister(self, sock: socket.socket) -> None:
        """Tell no more of a socket that is about to be closed, be it registered or not."""

    def wake(self, client: Client, when: int) -> None:
        """Call the client's `wake` at that time, unless it asks for another one before."""

    def settled(self) -> None:
        """A client's first attempt to connect came to an end."""

    def ended(self, client: Client) -> None:
        """The client will do no more."""


class Client:
    """One client over TCP or a unix socket: it connects, talks, waits, and says how it ended."""

    __slots__ = (
        "answered",
        "backoff",
        "connect_started",
        "connected_at",
        "counts",
        "due",
        "ended_at",
        "expected",
        "first_message",
        "first_reply_at",
        "first_started",
        "group",
        "loop",
        "message",
        "notes",
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
        "unsent",
        "wake_at",
    )

    # Can clients of this kind be left to the hot loop?
    steadies: ClassVar = True

    recv: Callable[[int], bytes]
    send: Callable[[bytes], int]

    def __init__(self, loop: Loop, group: GroupState, number: int) -> None:
        self.loop = loop
        self.group = group
        self.number = number
        self.sock: socket.socket | None = None
        self.state = NEW
        # May the hot loop send this client's next message by itself?
        self.steady = False
        self.pairs = group.messages.pairs
        # Begun messages, from a place in the ring of the client's own.
        self.message = self.first_message = number
        self.expected = b""
        self.request_size = group.messages.request_size
        self.room = group.room
        self.counts = group.service.counts
        self.partial: bytearray | None = None
        # What is traced of it; None for nearly all clients.
        self.notes = group.notes_of(number)
        self.unsent: memoryview | None = None
        self.queue: deque[int] | None = None
        self.sent_at = self.due = 0
        self.answered = self.on_connection = 0
        self.backoff = BACKOFF_FIRST_NS
        # Why the last connection failed.
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
        self.state = CONNECTING
        self.connect_started = now = clock()
        self.first_started = self.first_started or now
        try:
            self.sock = self.loop.open_socket()
            if self.notes is not None:
                name_socket(self.sock)
        except OSError as error:
            self.fail(error_name(error))
            return
        self._try_connect()

    def _try_connect(self) -> None:
        loop, sock = self.loop, self.sock
        assert sock is not None
        try:
            error = sock.connect_ex(loop.sockaddr)
        except OSError as problem:
            self.fail(error_name(problem))
            return
        if error == errno.EAGAIN:
            loop.wake(self, clock() + UNIX_RETRY_NS)
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
                loop.register(sock, self, READABLE | WRITABLE)
                return
        loop.register(sock, self, READABLE)
        self._connected()

    def _connected(self) -> None:
        group, sock = self.group, self.sock
        assert sock is not None
        now = clock()
        if self.notes is not None:
            self.notes.connected(address_text(sock), self.connect_started, now)
        # A silent client may have begun anew, more than once, and has but one connection.
        group.tally.connect.record(
            now - (self.first_started if group.silent else self.connect_started)
        )
        group.tally.connections += 1
        if not self.connected_at:
            self.connected_at = now
            group.tally.connected += 1
        self.settle()
        self.recv = sock.recv
        self.send = sock.send
        self.on_connection = 0
        self.state = FREE
        self.next_message(now)

    def settle(self) -> None:
        """Tell the loop, once, that the first attempt to connect is over."""
        if not self.settled:
            self.settled = True
            self.loop.settled()

    def is_through(self) -> bool:
        """Whether a connect that is under way is complete, though nobody has said so yet."""
        assert self.sock is not None
        try:
            self.sock.getpeername()
        except OSError:
            return False
        return True

    def take_back(self) -> None:
        """Give up a connect that is under way, as if it had not been begun."""
        assert self.sock is not None
        self.loop.unregister(self.sock)
        self.sock.close()
        self.sock = None
        self.state = NEW
        self.wake_at = 0

    # Talking

    def next_message(self, now: int) -> None:
        """Do what comes after a connect or a reply, at the time `now`."""
        group = self.group
        if self.message - self.first_message >= group.last_message:
            self.end(now)
            return
        worn = self.on_connection >= group.per_connection
        if worn:
            # Also while the load is off: a server may serve nobody else as long as it stands.
            self.close()
        if group.silent or (self.loop.holding and not self.queue):
            pass  # what was due before the load was taken off is still sent
        elif worn:
            if group.think_ns:
                self._pause(now)
            else:
                self.connect()
        elif group.open_loop:
            if self.queue:
                self.begin(self.queue.popleft())
        elif group.think_ns and self.on_connection:
            self._pause(now)
        elif self.loop.introducing and group.endless and self.on_connection:
            pass  # the others are to have their first reply, too
        else:
            self.begin(now)

    def _pause(self, now: int) -> None:
        """Think, with a connection or without one."""
        self.state = PAUSING
        self.loop.wake(self, now + self.group.think())

    def request_at(self, message: int) -> tuple[bytes, bytes]:
        """The message of that number and the reply to expect."""
        return self.pairs[message & (RING - 1)]

    def begin(self, due: int) -> None:
        """Send the next message, which was due at that time."""
        request, self.expected = self.request_at(self.message)
        self.message += 1
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
            self.group.tally.bytes_sent -= len(request)
            self.fail(error_name(error))

    def sent_in_part(self, request: bytes, sent: int) -> None:
        """Send the rest when there is room."""
        assert self.sock is not None
        self.unsent = memoryview(request)[sent:]
        self.steady = False
        self.loop.modify(self.sock, READABLE | WRITABLE)

    def fall_due(self, due: int) -> None:
        """A message of the open loop is due: send it now, or as soon as the client is free."""
        group = self.group
        planned = self.message - self.first_message + len(self.queue or ())
        if self.state == NEW or planned >= group.last_message:
            return  # it is not there yet, or has all the messages that it is to send
        group.due_messages += 1
        if self.state == ENDED:
            # Nobody is left to send it.
            group.tally.failed += 1
            group.tally.count_error(self.trouble)
        elif self.state == FREE and not self.queue:
            group.lateness.record(clock() - due)
            self.begin(due)
        else:
            if self.queue is None:
                self.queue = deque()
            self.queue.append(due)

    def owed_since(self) -> list[int]:
        """When each message was due that has fallen due, and has no reply yet."""
        sent = [self.due] if self.state == WAITING else []
        return sent + list(self.queue or ())

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
            self.loop.modify(sock, READABLE)
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
            self.loop.modify(self.sock, READABLE)

    def received(self, data: bytes) -> None:
        """Take what one recv() returned, b"" for the end of the stream."""
        if not data:
            self.fail("EOF")
            return
        group = self.group
        group.bytes_received += len(data)
        if self.state != WAITING:
            # Nobody asked. No message is wrong, but the connection is of no more use.
            self.fail("EPROTO")
            return
        reply: bytes | bytearray = data
        seen = 0
        if self.partial is not None:
            seen = len(self.partial)
            self.partial += data
            reply = self.partial
        if reply == self.expected and self.unsent is None:
            self.partial = None
            self.answer_came(clock())
            return
        end = group.messages.reply_end(reply, seen)
        if end is None:
            self.partial = bytearray(data) if self.partial is None else self.partial
            # The hot loop would compare what comes next with a whole reply, and forget this.
            self.steady = False
            return
        self.partial = None
        group.tally.wrong += 1
        self.state = FREE
        if end != len(reply) or self.unsent is not None:
            self.fail("EPROTO")
        else:
            self.on_connection += 1
            self.next_message(clock())

    def answer_came(self, now: int) -> None:
        """Count the right reply that came at the time `now`, and go on."""
        group = self.group
        if self.notes is not None:
            self.notes.note(self.due, self.sent_at, now)
        group.service.record(now - self.sent_at)
        if group.open_loop:
            group.response.record(now - self.due)
        group.answered_slowly += 1
        self.answered += 1
        self.on_connection += 1
        self.backoff = BACKOFF_FIRST_NS
        self.state = FREE
        if not self.first_reply_at:
            self.first_reply_at = now
            group.tally.first_reply.record(now - self.first_started - group.held_ns)
            group.tally.served += 1
        elif self.on_connection == 1:
            group.tally.first_reply.record(now - self.connect_started)
        self.next_message(now)
        self.steady = (
            group.endless
            and self.steadies
            and self.notes is None
            and self.state == WAITING
            and self.unsent is None
        )

    # Time

    def wake(self, now: int) -> None:
        """The time that `Loop.wake` was asked for has come."""
        if self.state == PAUSING:
            self.group.lateness.record(clock() - self.wake_at)
            self.state = FREE
            if self.sock is None:
                self.connect()
            else:
                self.begin(now)
        elif self.state == CONNECTING:
            self._try_connect()
        elif self.state == RETRYING:
            self.connect()

    def resume(self, now: int, held: int) -> None:
        """Go on at the time `now`, after the load was off for `held` ns.

        The client's clocks stood still meanwhile: what it waits for, and what was due, is no older.
        """
        self.sent_at += held
        self.due += held
        self.connect_started += held
        if self.queue:
            self.queue = deque(due + held for due in self.queue)
        if self.state != FREE:
            return
        if self.sock is None:
            self.connect()
        else:
            self.next_message(now)

    def check_time(self, oldest: int) -> None:
        """Give up on what began before `oldest`."""
        began = {WAITING: self.sent_at, CONNECTING: self.connect_started}.get(self.state, oldest)
        if began < oldest:
            self.fail("ETIMEDOUT")

    # Ending

    def fail(self, name: str) -> None:
        """The connection is lost, or never came to be, for the reason `name`."""
        group, tally = self.group, self.group.tally
        failed = 0
        self._note_unanswered()
        if self.state == WAITING:
            if self._mismatched():
                tally.wrong += 1
                name = "EPROTO"
            else:
                failed = 1
        self.close()
        self.settle()
        self.trouble = name
        if group.backs_off:
            self.state = RETRYING
            self.loop.wake(self, clock() + self.backoff)
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
        tally = self.group.tally
        if name in REFUSED:
            tally.refused += 1
        elif name in LOST:
            tally.reset += 1
        elif name == "ETIMEDOUT":
            tally.timed_out += 1
        else:
            tally.other_failed += 1

    def _note_unanswered(self) -> None:
        if self.notes is not None and self.state == WAITING:
            self.notes.note(self.due, self.sent_at, None)

    def _mismatched(self) -> bool:
        """Whether the part of a reply that has come can no longer become the right one."""
        return self.partial is not None and not self.expected.startswith(self.partial)

    def close(self) -> None:
        """Close the connection, if there is one, and forget what was under way on it."""
        if self.sock is None:
            return
        self._check_with_kernel()
        if self.unsent is not None:
            self.group.tally.bytes_sent -= len(self.unsent)
            self.unsent = None
        self.loop.unregister(self.sock)
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
            self.loop.ended(self)

    def finish(self) -> None:
        """The run is over: say what is still open, and close."""
        tally = self.group.tally
        tally.waiting += len(self.queue or ())
        self._note_unanswered()
        if self.state == WAITING:
            if self._mismatched():
                tally.wrong += 1
            else:
                tally.waiting += 1
        elif self.group.silent and self.state == FREE:
            tally.held += 1
        elif self.state == RETRYING:
            self._count_end(self.trouble)
        self.close()

    def _check_with_kernel(self) -> None:
        """Hold what was sent against the kernel's count, where it is the client's only connection.

        All that was answered has been sent, and no more than was given to it.
        """
        assert self.sock is not None
        if self.group.per_connection != NEVER:
            return  # a call more for every few messages
        counted = bytes_sent(self.sock)
        if counted is None:
            return
        given = (self.message - self.first_message) * self.request_size - len(self.unsent or b"")
        if self.answered * self.request_size <= counted <= given:
            self.group.tally.sent_agreed += 1
        else:
            self.group.tally.sent_disagreed += 1

    def lane(self, started: int) -> Lane:
        """This client's life in seconds since `started`."""
        times = (self.first_started, self.connected_at, self.first_reply_at, self.ended_at)
        first = [(moment - started) / SECOND if moment else None for moment in times]
        return Lane(self.number, first[0], first[1], first[2], first[3], self.answered)


def error_name(error: OSError) -> str:
    """The error's name, such as ECONNRESET."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


def name_socket(sock: socket.socket) -> None:
    """Have a socket that is to connect bear a name, by which the server knows it.

    Over IP all of them do. A unix socket is given an abstract one of the kernel's choice (unix(7)),
    where there are any.
    """
    if sock.family == socket.AF_UNIX and sys.platform == "linux":
        sock.bind("")


def address_text(sock: socket.socket) -> str:
    """A socket's own address, as our servers write that of a client."""
    name = sock.getsockname()
    if isinstance(name, tuple):
        host, port = name[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    text = os.fsdecode(name)
    shown = (one if one.isprintable() else ascii(one)[1:-1] for one in text)
    return f"unix:{''.join(shown)}"
