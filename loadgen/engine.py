"""One event loop in one process: puts a share of a plan's load on a server, counts what happens.

Rules kept here: a single clock, CLOCK_MONOTONIC in nanoseconds, the same in every process of a
machine; no memory that grows with the length of the run; nothing is done per message that can be
done per batch of events or per tenth of a second. `Engine._turn_over` is the hot loop: about 5 us a
message, of which the two system calls take 4, so that every line in it was measured. Whatever is
not the next message of a steady conversation leaves it for `Client`.

A message is right when the reply equals the expected bytes. A whole reply with other bytes is
wrong, and the client goes on. Where a reply ends is said by the framing, else by the expected size.
A reply that brings more bytes than its own is wrong as well; the connection is then out of step and
is closed, counted under EPROTO. So is a wrong reply without an end that could be known, once its
time is up.
"""

from __future__ import annotations

import errno
import gc
import heapq
import random
import resource
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

from .histogram import HALF, SUB_BITS, Histogram
from .messages import RING, Messages
from .plan import Endpoint, Group, Plan
from .tally import LANES, TIMELINE_SLICE_SECONDS, GroupTally, Lane, Tally

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
clock = time.monotonic_ns

# The values of poll(2) and epoll(7) are the same for these.
READABLE, WRITABLE = 1, 4

# Events taken per system call. More would let a client that is ready wait behind too many others
# when the loop has timers to keep; fewer makes more calls.
BATCH = 256
# connect() costs about 20 us on loopback: so few at a time keep the replies that arrive meanwhile
# from waiting, which would count as the server's latency.
CONNECTS_PER_TURN = 4
# Messages of an open loop sent between two looks at what has arrived.
SENDS_PER_TURN = 64
LARGEST_READ = 256 * 1024
SNAPSHOT_NS = SECOND // 4
# epoll_wait counts in milliseconds and rounds up. What is due sooner than this waits in select(2),
# which counts in microseconds.
FINE_WAIT_NS = 2 * MILLISECOND
# After the window: for replies on their way, from servers that do answer, so that closing does not
# reset connections with a reply in flight.
DRAIN_NS = SECOND // 4
DRAIN_CHECK_NS = 5 * MILLISECOND
BACKOFF_FIRST_NS = 10 * MILLISECOND
BACKOFF_LONGEST_NS = SECOND // 2
# A unix socket's connect() does not wait for room in the server's queue; it has to be tried again.
UNIX_RETRY_NS = MILLISECOND
NEVER = 1 << 62
# linux/in.h; the socket module has no name for it.
IP_BIND_ADDRESS_NO_PORT = 24
# getrusage() counts KiB, but bytes on macOS.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024

# What a client does at the moment.
NEW, CONNECTING, FREE, WAITING, PAUSING, RETRYING, ENDED = range(7)

REFUSED = frozenset({"ECONNREFUSED", "ENOENT"})
LOST = frozenset({"ECONNRESET", "EPIPE", "EOF"})


class Control(Protocol):
    """The line to whoever started the worker: in use, a multiprocessing Connection."""

    def fileno(self) -> int: ...
    def send(self, obj: Any) -> None: ...
    def recv(self) -> Any: ...


class ParentGoneError(Exception):
    """The other end of the control line is gone; nobody wants the result."""


@dataclass(frozen=True)
class Share:
    """What one worker does of a plan: number `worker` among `plan.workers`.

    Connections come from `source_addresses` in turn; where there are none, the kernel chooses.
    """

    plan: Plan
    endpoint: Endpoint
    worker: int = 0
    source_addresses: tuple[str, ...] = ()

    def clients_of(self, group: Group) -> range:
        """Numbers within the group of this worker's clients: one block, even to one client."""
        workers = self.plan.workers
        return range(
            group.clients * self.worker // workers, group.clients * (self.worker + 1) // workers
        )

    @property
    def clients(self) -> int:
        """How many clients this worker has, over all groups."""
        return sum(len(self.clients_of(group)) for group in self.plan.groups)


@dataclass(frozen=True)
class WorkerSnapshot:
    """How one worker is doing: counts of the whole run, and response times of the window so far."""

    answered: int
    connected: int
    served: int
    response: Histogram


class GroupLoad:
    """A worker's share of one group while it runs: the clients, their messages and the counts."""

    def __init__(self, engine: Engine, group: Group, share: Share) -> None:
        self.engine = engine
        self.group = group
        self.messages = Messages(group, share.plan)
        self.room = min(self.messages.reply_size + 1, LARGEST_READ)
        self.tally = GroupTally(group.name)
        # The histograms that count now; the tally gets the window's.
        self.service = Histogram()
        self.response = Histogram() if group.open_loop else self.service
        self.lateness = Histogram()
        if group.open_loop:
            self.tally.lateness = self.lateness
        self.randomness = random.Random(f"{share.plan.seed} {group.name} {share.worker}")
        # Counted as messages fall due; a closed loop's are counted as clients begin them.
        self.due_messages = 0
        self.bytes_received = 0
        self.answered_slowly = 0
        self.answered_before_slice = 0
        self.connections_before_window = 0
        self.think_ns = round(group.think_seconds * SECOND)
        self.last_message = share.plan.messages_per_client or NEVER
        self.per_connection = group.messages_per_connection or NEVER
        self.backs_off = group.messages_per_connection is not None
        self.open_loop = group.open_loop
        # What the hot loop may send on its own: the next message at once, for ever.
        self.endless = (
            not (group.silent or group.open_loop or self.think_ns)
            and self.last_message == NEVER
            and self.per_connection == NEVER
        )
        numbers = share.clients_of(group)
        self.clients = [Client(self, number) for number in numbers]
        self.tally.clients = len(self.clients)
        if group.rate_per_second is not None and self.clients:
            rate = group.rate_per_second * len(self.clients) / group.clients
            self.due_every = SECOND / rate
        self.next_due = NEVER
        self.exact_due = 0.0
        self.place = 0

    def think(self) -> int:
        """How long a client thinks before its next message, in ns."""
        if self.group.think_distribution == "constant":
            return self.think_ns
        return round(self.randomness.expovariate(1 / self.think_ns))

    def start_schedule(self, start: int, share: Share) -> None:
        """Set when the first message of an open loop is due; workers are offset evenly."""
        if not self.open_loop or not self.clients:
            return
        self.exact_due = start + self.due_every * share.worker / share.plan.workers
        if self.group.arrivals == "poisson":
            self.exact_due = start + self.randomness.expovariate(1 / self.due_every)
        self.next_due = round(self.exact_due)

    def take_due(self) -> tuple[Client, int]:
        """The client and the time of the message that is due next, and move the schedule on.

        Constant arrivals go round the clients. Poisson arrivals pick one at random, which gives
        each client a Poisson process of its own (splitting, e.g. Ross, Introduction to
        Probability Models, 5.3).
        """
        due = self.next_due
        if self.group.arrivals == "poisson":
            client = self.clients[int(self.randomness.random() * len(self.clients))]
            self.exact_due += self.randomness.expovariate(1 / self.due_every)
        else:
            client = self.clients[self.place]
            self.place = (self.place + 1) % len(self.clients)
            self.exact_due += self.due_every
        self.next_due = round(self.exact_due)
        return client, due

    def open_window(self) -> None:
        """Forget what the warm-up measured of messages; whole-run counts go on."""
        self.service.clear()
        self.response.clear()
        self.lateness.clear()
        self.answered_before_slice = 0
        self.connections_before_window = self.tally.connections
        for client in self.clients:
            client.answered_before_window = client.answered

    def cut_slice(self, whole: bool = True) -> None:
        """Put what was answered since the last cut into the timeline, a scrap with the last."""
        answered = self.service.count
        since, self.answered_before_slice = answered - self.answered_before_slice, answered
        if whole or not self.tally.timeline:
            self.tally.add_slice(since)
        else:
            self.tally.timeline[-1] += since

    def close_window(self) -> None:
        """Take the window's figures; replies from now on count for the whole run alone."""
        tally = self.tally
        tally.service, self.service = self.service, Histogram()
        if self.open_loop:
            tally.response, self.response = self.response, Histogram()
            self.lateness = Histogram()
        else:
            tally.response = Histogram.merged([tally.service])
            self.response = self.service
        tally.connections_in_window = tally.connections - self.connections_before_window
        tally.answered_in_window = tally.service.count
        tally.payload_bytes_in_window = tally.answered_in_window * self.messages.payload_size
        tally.answered_per_client = [
            client.answered - client.answered_before_window for client in self.clients
        ]

    def finish(self, started: int, measured: bool) -> GroupTally:
        """Close every client and return what became of all."""
        tally, messages = self.tally, self.messages
        if not measured:
            self.open_window()
            self.close_window()
        for client in self.clients:
            client.finish()
        begun = sum(client.turn - client.first_turn for client in self.clients)
        tally.answered = sum(client.answered for client in self.clients)
        tally.intended = self.due_messages if self.open_loop else begun
        tally.starved = 0 if self.group.silent else tally.connected - tally.served
        # The hot loop counts no bytes: what it answered is whole messages that compared equal.
        fast = tally.answered - self.answered_slowly
        tally.bytes_received = self.bytes_received + fast * messages.reply_size
        tally.expected_bytes_received = tally.answered * messages.reply_size
        tally.bytes_sent += begun * messages.request_size
        tally.lanes = [
            client.lane(started) for client in self.clients[:LANES] if client.number < LANES
        ]
        return tally


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
            self.fail(_name(error))
            return
        self._try_connect()

    def _try_connect(self) -> None:
        engine, sock = self.load.engine, self.sock
        assert sock is not None
        try:
            error = sock.connect_ex(engine.sockaddr)
        except OSError as problem:
            self.fail(_name(problem))
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
            self.connect()
        elif load.open_loop:
            if self.queue:
                self.begin(self.queue.popleft())
        elif load.think_ns and self.on_connection:
            self.state = PAUSING
            load.engine.wake(self, now + load.think())
        else:
            self.begin(now)

    def begin(self, due: int) -> None:
        """Send the next message, which was due at that time."""
        request, self.expected = self.pairs[self.turn & (RING - 1)]
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
            self.fail(_name(error))

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
                self.fail(_name(error))
                return
            self.received(data)

    def _send_rest(self, unsent: memoryview) -> None:
        assert self.sock is not None
        try:
            sent = self.sock.send(unsent)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(_name(error))
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
            self._answered()
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

    def _answered(self) -> None:
        now = clock()
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
            if not self.load.engine.draining:
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


class Nobody:
    """Stands for a descriptor that was closed while events of it were still in the batch."""

    __slots__ = ()
    steady = False

    def ready(self, _event: int) -> None:
        """Nobody cares."""


NOBODY = Nobody()


class ControlLine:
    """The parent's line, in the clients' poller, so that it costs the hot loop nothing."""

    steady = False

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ready(self, _event: int) -> None:
        """The parent said something, or is gone."""
        self._engine.obey()


class PollPoller:
    """select.poll in the manner of select.epoll, for systems without the latter."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self.register = self._poll.register
        self.modify = self._poll.modify
        self.unregister = self._poll.unregister

    def poll(self, timeout: float, _maxevents: int) -> list[tuple[int, int]]:
        """What is ready within so many seconds; only epoll can bound how much that is."""
        return self._poll.poll(timeout * 1000)

    def close(self) -> None:
        """Nothing to close: poll(2) keeps no descriptor."""


class Engine:
    """Runs one worker's share. Make one, call `run` once."""

    def __init__(self, share: Share, control: Control) -> None:
        self.share = share
        self.plan = share.plan
        self.control = control
        self.draining = False
        self.sockaddr = share.endpoint.sockaddr
        self._family = share.endpoint.address_family
        self._sources: Iterator[int] = count(share.worker * 7)
        self._poller: Any = select.epoll() if hasattr(select, "epoll") else PollPoller()
        self._poller_fd = self._poller.fileno() if hasattr(self._poller, "fileno") else None
        # A closed descriptor leaves an epoll set by itself, which saves churn a system call.
        self._unregisters = self._poller_fd is None
        # By descriptor: a list, since indexing one is quicker than a dict's look-up.
        self._by_fd: list[Any] = [NOBODY] * 1024
        self._timers: list[tuple[int, int, Client]] = []
        self._order = count()
        self._timeout_ns = round(self.plan.timeout_seconds * SECOND)
        self._sweep_every = max(10 * MILLISECOND, min(SECOND, self._timeout_ns // 16))
        self.loads = [GroupLoad(self, group, share) for group in self.plan.groups]
        self._clients = [client for load in self.loads for client in load.clients]
        self._open_loads = [load for load in self.loads if load.open_loop and load.clients]
        self._to_connect = deque(_interleaved(self.loads))
        self._connect_every = self._connect_interval()
        self._unsettled = len(self._clients)
        talking = sum(len(load.clients) for load in self.loads if not load.group.silent)
        self._only_silent = not talking
        self._alive = talking or len(self._clients)
        self._slice_ns = round(TIMELINE_SLICE_SECONDS * SECOND)
        self._started = self._connected_at = 0
        self._window = (NEVER, NEVER)
        self._opened = self._closed = self._cpu = 0
        self._stop_at = self._deadline = self._drain_until = NEVER
        self._next_connect = self._next_sweep = self._next_slice = self._next_snapshot = NEVER
        self._finished = self._cut_short = False
        self._stopped_early: str | None = None

    def _connect_interval(self) -> float:
        """Between two connects of this worker, in ns; 0 for as fast as they go."""
        plan = self.plan
        if plan.connect_rate is not None:
            return SECOND / plan.connect_rate * plan.clients / len(self._clients)
        return plan.ramp_seconds * SECOND / len(self._clients)

    # What clients ask of the engine

    def open_socket(self) -> socket.socket:
        """A non-blocking socket for one connection, bound to a source address if there are any."""
        sock = socket.socket(self._family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            if self._family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sources = self.share.source_addresses
            if sources:
                # The port is then chosen at connect(), when the kernel knows the whole pair of
                # addresses: one range of ports per source, instead of one for all.
                sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((sources[next(self._sources) % len(sources)], 0))
        except OSError:
            sock.close()
            raise
        return sock

    def register(self, sock: socket.socket, client: Client, events: int) -> None:
        """Hear of these events on the client's socket."""
        fd = sock.fileno()
        self._set_handler(fd, client)
        self._poller.register(fd, events)

    def _set_handler(self, fd: int, handler: Any) -> None:
        while fd >= len(self._by_fd):
            self._by_fd.extend([NOBODY] * len(self._by_fd))
        self._by_fd[fd] = handler

    def modify(self, sock: socket.socket, events: int) -> None:
        """Hear of other events on a registered socket."""
        self._poller.modify(sock.fileno(), events)

    def unregister(self, sock: socket.socket) -> None:
        """Hear no more of a socket that is about to be closed."""
        fd = sock.fileno()
        if fd < len(self._by_fd) and self._by_fd[fd] is not NOBODY:
            self._by_fd[fd] = NOBODY
            if self._unregisters:
                self._poller.unregister(fd)

    def wake(self, client: Client, when: int) -> None:
        """Call the client's `wake` at that time, unless it asks for another one before."""
        client.wake_at = when
        heapq.heappush(self._timers, (when, next(self._order), client))
        self._deadline = min(self._deadline, when)

    def one_settled(self) -> None:
        """A client's first attempt to connect came to an end."""
        self._unsettled -= 1
        if not self._unsettled:
            self._connected_at = clock()
            self._tell("connected", self._connected_at)

    def one_ended(self, load: GroupLoad) -> None:
        """A client will do no more; without any that could still talk, the run is over."""
        if load.group.silent and not self._only_silent:
            return
        self._alive -= 1
        if not self._alive and not self.draining:
            if self.plan.messages_per_client is None:
                self._stopped_early = (
                    "no client was left: all lost their connection or never got one"
                )
            self._stop_at = self._deadline = 0

    # The run

    def run(self) -> Tally:
        """Wait for the word to start, put the load on, and return what happened.

        Raises ParentGoneError when the control line breaks. Leaves no socket open.
        """
        self._tell("ready", None)
        self._started = self._hear_start()
        # Nothing below makes reference cycles, and a collection among 10,000 clients would hold up
        # every reply for milliseconds.
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            self._prepare()
            while not self._finished:
                self._keep_time(clock())
                self._turn_over()
        finally:
            gc.enable()
            gc.unfreeze()
            for client in self._clients:
                client.close()
            self._poller.close()
        return self._tally()

    def _hear_start(self) -> int:
        kind, value = self._hear()
        if kind == "stop":
            self._cut_short = True
            self._stop_at = 0
            return clock()
        time.sleep(max(0, value - clock()) / SECOND)
        return int(value)

    def _prepare(self) -> None:
        self._listen_to_control()
        for load in self.loads:
            load.start_schedule(self._started, self.share)
        if self.plan.messages_per_client is not None:
            self._window = (self._started, NEVER)
        self._next_connect = self._started + round(
            self._connect_every * self.share.worker / self.plan.workers
        )
        self._next_sweep = self._started + self._sweep_every
        self._next_snapshot = self._started + SNAPSHOT_NS

    def _listen_to_control(self) -> None:
        fd = self.control.fileno()
        self._set_handler(fd, ControlLine(self))
        self._poller.register(fd, READABLE)

    def _turn_over(self) -> None:
        """Exchange messages until something is due: the hot loop."""
        poll, by_fd = self._poller.poll, self._by_fd
        mask, sub_bits, half_bits, readable = RING - 1, SUB_BITS, HALF.bit_length() - 1, READABLE
        now = clock()
        while True:
            wait = self._deadline - now
            if wait <= 0:
                return
            if wait > FINE_WAIT_NS:
                events = poll((wait - MILLISECOND) / SECOND, BATCH)
            else:
                events = poll(0, BATCH) or self._wait_finely(wait)
            if not events:
                now = clock()
            for fd, event in events:
                client = by_fd[fd]
                if event != readable or not client.steady:
                    client.ready(event)
                    now = clock()
                    continue
                try:
                    data = client.recv(client.room)
                except OSError as error:
                    client.fail(_name(error))
                    continue
                if data != client.expected:
                    client.received(data)
                    now = clock()
                    continue
                # One reading of the clock a message: the end of one is the start of the next.
                now = clock()
                elapsed = now - client.sent_at
                # Histogram.record in place, which saves the call. A message over a socket takes
                # longer than the 256 ns below which buckets are laid out otherwise.
                shift = elapsed.bit_length() - sub_bits
                client.counts[(shift << half_bits) + (elapsed >> shift)] += 1
                client.answered += 1
                turn = client.turn
                client.turn = turn + 1
                request, client.expected = client.pairs[turn & mask]
                client.sent_at = now
                try:
                    sent = client.send(request)
                except OSError as error:
                    client.send_failed(request, error)
                    continue
                if sent != client.request_size:
                    client.sent_in_part(request, sent)

    def _wait_finely(self, wait: int) -> list[tuple[int, int]]:
        """Wait at most `wait` ns for an event, to the microsecond where there is epoll."""
        if self._poller_fd is None:
            return self._poller.poll(wait / SECOND, BATCH)  # type: ignore[no-any-return]
        select.select((self._poller_fd,), (), (), wait / SECOND)
        return self._poller.poll(0, BATCH)  # type: ignore[no-any-return]

    def _keep_time(self, now: int) -> None:
        """Do everything that is due at `now`, and set the next deadline."""
        self._deadline = NEVER
        timers = self._timers
        while timers and timers[0][0] <= now:
            when, _, client = heapq.heappop(timers)
            if client.wake_at == when:
                client.wake(now)
        if self._to_connect and now >= self._next_connect and not self.draining:
            self._connect_some(now)
        if not self.draining:
            self._send_due(now)
        if now >= self._next_sweep:
            self._next_sweep = now + self._sweep_every
            oldest = now - self._timeout_ns
            for client in self._clients:
                client.check_time(oldest)
        self._keep_window(now)
        if now >= self._next_snapshot:
            self._next_snapshot = now + SNAPSHOT_NS
            self._tell("snapshot", self._snapshot())
        if self.draining:
            self._keep_draining(now)
        self._deadline = min(
            self._deadline,
            timers[0][0] if timers else NEVER,
            self._next_connect if self._to_connect and not self.draining else NEVER,
            *(load.next_due for load in self._open_loads if not self.draining),
            self._next_sweep,
            self._next_slice,
            self._next_snapshot,
            self._window[0] if not self._opened else NEVER,
            self._window[1] if not self.draining else NEVER,
            self._stop_at,
        )

    def _connect_some(self, now: int) -> None:
        """Begin the connects whose time has come, a few at a time."""
        for _ in range(min(CONNECTS_PER_TURN, len(self._to_connect))):
            if now < self._next_connect:
                break
            self._to_connect.popleft().connect()
            if self._connect_every:
                self._next_connect += round(self._connect_every)

    def _send_due(self, now: int) -> None:
        for load in self._open_loads:
            for _ in range(SENDS_PER_TURN):
                if load.next_due > now:
                    break
                client, due = load.take_due()
                client.fall_due(due)

    def _keep_window(self, now: int) -> None:
        opens, closes = self._window
        if not self._opened and opens <= now and self._stop_at == NEVER:
            self._opened = now
            self._cpu = time.process_time_ns()
            self._next_slice = now + self._slice_ns
            for load in self.loads:
                load.open_window()
        if now >= self._next_slice:
            self._next_slice += self._slice_ns
            for load in self.loads:
                load.cut_slice()
        if now >= min(closes, self._stop_at) and not self.draining:
            self._close_window(now)

    def _close_window(self, now: int) -> None:
        """End the load: no message is begun from here on."""
        self.draining = True
        if self._opened:
            self._closed = now
            self._cpu = time.process_time_ns() - self._cpu
        for load in self.loads:
            # What fell due before the end was intended, though it can no longer be sent.
            while load.next_due <= min(now, self._window[1]):
                client, due = load.take_due()
                client.fall_due(due)
            load.next_due = NEVER
            if self._opened:
                # The timer is late by microseconds: what is left over is no slice of its own.
                whole = now - (self._next_slice - self._slice_ns) > self._slice_ns // 2
                load.cut_slice(whole)
                load.close_window()
        for client in self._clients:
            client.steady = False
        self._next_slice = NEVER
        self._drain_until = now + DRAIN_NS

    def _keep_draining(self, now: int) -> None:
        """Finish once no client that is being served waits for a reply, or time is up."""
        if now >= self._drain_until or not any(
            client.state == WAITING and client.first_reply_at for client in self._clients
        ):
            self._finished = True
            self._deadline = 0
        else:
            self._deadline = now + DRAIN_CHECK_NS

    # The control line

    def _tell(self, kind: str, value: Any) -> None:
        try:
            self.control.send((kind, value))
        except OSError as error:
            raise ParentGoneError from error

    def _hear(self) -> tuple[str, Any]:
        try:
            kind, value = self.control.recv()
        except (EOFError, OSError) as error:
            raise ParentGoneError from error
        return kind, value

    def obey(self) -> None:
        """Act on a word from the parent: the window's times, or an early stop."""
        kind, value = self._hear()
        if kind == "window" and not self.draining:
            self._window = value
        elif kind == "stop" and not self.draining:
            self._cut_short = True
            self._stop_at = 0
        self._deadline = 0

    # Results

    def _snapshot(self) -> WorkerSnapshot:
        response = Histogram.merged(load.response for load in self.loads)
        return WorkerSnapshot(
            answered=sum(client.answered for client in self._clients),
            connected=sum(load.tally.connected for load in self.loads),
            served=sum(load.tally.served for load in self.loads),
            response=response,
        )

    def _tally(self) -> Tally:
        measured = bool(self._closed)
        window_ns = self._closed - self._opened
        return Tally(
            groups=[load.finish(self._started, measured) for load in self.loads],
            started=self._started / SECOND,
            connecting_seconds=max(0, (self._connected_at or clock()) - self._started) / SECOND,
            window_started=self._opened / SECOND if measured else None,
            window_seconds=window_ns / SECOND,
            cut_short=self._cut_short,
            engine_cpu_seconds=self._cpu / SECOND if measured else None,
            engine_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT,
            busiest_worker_cpu=self._cpu / window_ns if measured and window_ns else None,
            stopped_early=self._stopped_early,
        )


def _interleaved(loads: list[GroupLoad]) -> list[Client]:
    """All clients in the order in which they connect: each group spread evenly over the whole."""
    placed = [
        ((place + 0.5) / len(load.clients), client)
        for load in loads
        for place, client in enumerate(load.clients)
    ]
    return [client for _, client in sorted(placed, key=lambda pair: pair[0])]


def _name(error: OSError) -> str:
    """The error's name, such as ECONNRESET."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
