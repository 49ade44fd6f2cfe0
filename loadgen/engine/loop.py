"""One event loop in one process: puts a share of a plan's load on a server, counts what happens.

Rules kept here: a single clock; no memory that grows with the length of the run; nothing is done
per message that can be done per batch of events or per slice of the timeline. `Engine._exchange` is
the hot loop. Whatever is not the next message of a steady talk leaves it for `Client`.

A client that only holds a connection costs nothing once it has one: whatever is done to all
clients, again and again, is done to those that talk.

The load is on or off. While it is off, between two turns, connections stay, no message is begun,
nothing falls due and no timer runs: once the replies on their way have come, the loop blocks.
"""

from __future__ import annotations

import gc
import heapq
import socket
import time
from collections import deque
from collections.abc import Iterator
from itertools import count
from typing import Any

from loadgen.engine.client import CONNECTING, WAITING, Client, error_name
from loadgen.engine.clock import MILLISECOND, NEVER, SECOND, clock
from loadgen.engine.control import Control, ControlLine, Window, WorkerSnapshot
from loadgen.engine.datagram import DatagramClient
from loadgen.engine.group_load import GroupLoad
from loadgen.engine.poller import READABLE, Poller
from loadgen.engine.process import peak_memory_bytes
from loadgen.engine.share import Share
from loadgen.engine.short_talk import ShortTalkClient
from loadgen.plan.messages import RING
from loadgen.record.histogram import HALF, SUB_BITS, Histogram
from loadgen.record.tally import TIMELINE_SLICE_SECONDS, Tally, Turn

# Events taken per system call. More would let a client that is ready wait behind too many others
# when the loop has timers to keep; fewer makes more calls.
BATCH = 256
# The same when a schedule is waiting, of connects or of an open loop.
BATCH_WHEN_LATE = 16
# connect() costs about 40 us on loopback: so few at a time keep the replies that arrive meanwhile
# from waiting, which would count as the server's latency.
CONNECTS_AT_ONCE = 8
# A silent client that finds the server's queue full goes away and tries again after so long, then
# after twice as long, and those behind it wait: the server needs the time to let others in. Were
# all of them left to the kernel, which tries again after a second, it would answer some with SYN
# cookies: they would seem connected, and the server know nothing of it. Who sends a message finds
# out; who says nothing never does.
KNOCK_AGAIN_NS = 10 * MILLISECOND
KNOCK_AGAIN_AT_MOST_NS = 320 * MILLISECOND
# A handshake over loopback is complete when connect() returns, unless the kernel has put it off for
# a moment, which it does on a busy machine. So many clients may wait that long at a time.
LET_IN_NS = 5 * MILLISECOND
KNOCKING_AT_ONCE = 64
# Messages of an open loop sent between two looks at what has arrived.
SENDS_AT_ONCE = 64
SNAPSHOT_NS = SECOND // 4
# epoll_wait counts in milliseconds and rounds up. What is due sooner than this waits in select(2),
# which counts in microseconds.
FINE_WAIT_NS = 2 * MILLISECOND
# After the window: for replies on their way, from servers that do answer, so that closing does not
# reset connections with a reply in flight and what is left waiting was left by the server; longer
# where replies took longer. Between turns so long after the last one that came, so that a server is
# done with all it was asked before the next has its turn; but not for ever.
DRAIN_NS = SECOND // 4
LONGEST_DRAIN_NS = 5 * SECOND
DRAIN_CHECK_NS = 5 * MILLISECOND
# A poll cannot be told to wait for ever and for so long in the same words.
LONGEST_WAIT_NS = 3600 * SECOND
# While a crowd is let go, so often the parent is told that somebody is still at work.
CLOSING_WORD_NS = SECOND
# Saves a system call for each connection, where there is such a thing: not on macOS.
NONBLOCKING = getattr(socket, "SOCK_NONBLOCK", 0)
# linux/in.h; the socket module has no name for it.
IP_BIND_ADDRESS_NO_PORT = 24


class Engine:
    """Runs one worker's share. Make one, call `run` once."""

    def __init__(self, share: Share, control: Control) -> None:
        self.holding = False
        # Before turns: while those who had come talked at full speed, a server took from 1.6 to
        # 3.6 s to start a process for each of 100, and so it takes 0.3 to 0.8. Each turn has its
        # own warm-up.
        self.introducing = share.plan.turns is not None
        self.sockaddr = share.endpoint.sockaddr
        self._share, self._plan = share, share.plan
        self._line = ControlLine(control, self._obey)
        self._family = share.endpoint.address_family
        self._sources: Iterator[int] = count(share.worker * 7)
        self._poller = Poller()
        self._timers: list[tuple[int, int, Client]] = []
        self._order = count()
        self._timeout_ns = round(self._plan.timeout_seconds * SECOND)
        self._sweep_every = max(10 * MILLISECOND, min(SECOND, self._timeout_ns // 16))
        self._datagrams = share.endpoint.transport == "udp"
        kind = self._kind_of_client()
        self._groups = [GroupLoad(self, group, share, kind) for group in self._plan.groups]
        self._clients = [client for group in self._groups for client in group.clients]
        self._talking = [client for client in self._clients if not client.group.silent]
        # Silent clients that have begun to connect and are not known to be through.
        self._knocking: list[Client] = []
        self._near = share.endpoint.is_loopback
        # Since when the server's queue was full whenever one of them tried; 0 where it was not.
        self._turned_away_at = 0
        self._knock_again = KNOCK_AGAIN_NS
        self._open_loops = [
            (group.schedule, group.clients) for group in self._groups if group.schedule is not None
        ]
        self._to_connect = deque(_interleaved(self._groups))
        self._connect_every = self._connect_interval()
        self._unsettled = len(self._clients)
        self._only_silent = not self._talking
        self._alive = len(self._talking or self._clients)
        self._slice_ns = round(TIMELINE_SLICE_SECONDS * SECOND)
        self._started = self._connected_at = self._warmed_up_at = 0
        self._window = Window(NEVER, NEVER)
        # Of the window that is open; 0 for none.
        self._opened = self._cpu = 0
        # How long replies waited in batches until they were read, summed since the window opened.
        self._waits_ns = 0
        # What every window that has closed held, be it a turn or not.
        self._windows: list[Turn] = []
        # Off since when, with how many replies still to come, and what the timers have left to run.
        self._held_at = self._awaited = 0
        self._frozen: list[tuple[int, Client]] = []
        self._stop_at = self._deadline = self._drain_until = NEVER
        self._next_connect = self._next_sweep = self._next_slice = self._next_snapshot = NEVER
        self._quiet = self._last = self._finished = self._cut_short = False
        self._stopped_early: str | None = None

    def _kind_of_client(self) -> type[Client]:
        if self._datagrams:
            return DatagramClient
        return Client if self._plan.talk == "loop" else ShortTalkClient

    def _connect_interval(self) -> float:
        """Between two connects of this worker, in ns; 0 for as fast as they go."""
        plan = self._plan
        if plan.connect_rate is not None:
            return SECOND / plan.connect_rate * plan.clients / len(self._clients)
        return plan.ramp_seconds * SECOND / len(self._clients)

    # What clients ask of their loop

    def open_socket(self) -> socket.socket:
        """A non-blocking socket for one connection, bound to a source address if there are any."""
        kind = socket.SOCK_DGRAM if self._datagrams else socket.SOCK_STREAM
        sock = socket.socket(self._family, kind | NONBLOCKING)
        try:
            if not NONBLOCKING:
                sock.setblocking(False)
            if self._family != socket.AF_UNIX and not self._datagrams:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sources = self._share.source_addresses
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
        """Call the client's `ready` on these events of its socket."""
        self._poller.register(sock.fileno(), client, events)

    def modify(self, sock: socket.socket, events: int) -> None:
        """Have a registered socket's client hear of other events."""
        self._poller.modify(sock.fileno(), events)

    def unregister(self, sock: socket.socket) -> None:
        """Tell no more of a socket that is about to be closed, be it registered or not."""
        self._poller.unregister(sock.fileno())

    def wake(self, client: Client, when: int) -> None:
        """Call the client's `wake` at that time, unless it asks for another one before."""
        client.wake_at = when
        heapq.heappush(self._timers, (when, next(self._order), client))
        self._deadline = min(self._deadline, when)

    def settled(self) -> None:
        """A client's first attempt to connect came to an end."""
        self._unsettled -= 1
        if not self._unsettled:
            self._connected_at = clock()
            self._line.tell("connected", self._connected_at)

    def ended(self, client: Client) -> None:
        """The client will do no more; without any that could still talk, the run is over."""
        if client.group.silent and not self._only_silent:
            return
        self._alive -= 1
        if not self._alive and not self._ending:
            if self._plan.messages_per_client is None:
                self._stopped_early = (
                    "no client was left: all lost their connection or never got one"
                )
            self._stop_at = self._deadline = 0

    # The run

    def run(self) -> Tally:
        """Wait for the word to start, put the load on, and return what happened.

        Raises ParentGoneError when the control line breaks. Leaves no socket open.
        """
        self._line.tell("ready", None)
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
                self._exchange()
            self._let_go()
        finally:
            gc.enable()
            gc.unfreeze()
            for client in self._clients:
                client.close()
            self._poller.close()
        return self._tally()

    def _let_go(self) -> None:
        """Close every connection. A crowd takes seconds, and the parent hears of us meanwhile."""
        word = clock() + CLOSING_WORD_NS
        for client in self._clients:
            client.close()
            if clock() >= word:
                word = clock() + CLOSING_WORD_NS
                self._line.tell("snapshot", self._snapshot())

    def _hear_start(self) -> int:
        kind, value = self._line.hear()
        if kind == "stop":
            self._cut_short = True
            self._stop_at = 0
            return clock()
        time.sleep(max(0, value - clock()) / SECOND)
        return int(value)

    def _prepare(self) -> None:
        self._poller.register(self._line.fileno(), self._line, READABLE)
        for schedule, _ in self._open_loops:
            schedule.start(self._started)
        if self._plan.messages_per_client is not None:
            self._last = True
            self._window = Window(self._started, NEVER)
            self._keep_window(self._started)  # before the first connection, which counts
        self._next_connect = self._started + round(
            self._connect_every * self._share.worker / self._plan.workers
        )
        self._next_sweep = self._started + self._sweep_every
        self._next_snapshot = self._started + SNAPSHOT_NS

    def _exchange(self) -> None:
        """Exchange messages until something is due: the hot loop.

        Of about 10 us a message, its two system calls take 8 where this was measured, and the rest
        is what every message needs. What was tried and made no difference beyond noise: os.read and
        os.write, recv_into, edge-triggered epoll. Counting a latency takes 140 ns; appending it to
        a list would take 100 without a bound on memory, and a flat table of fine slots 75, which is
        too little to keep a second kind of histogram for.
        """
        poll, by_fd = self._poller.poll, self._poller.by_fd
        mask, sub_bits, half_bits, readable = RING - 1, SUB_BITS, HALF.bit_length() - 1, READABLE
        now = clock()
        while True:
            wait = self._deadline - now
            if wait > FINE_WAIT_NS:
                events = poll((wait - MILLISECOND) / SECOND, BATCH)
            elif wait > 0:
                events = poll(0, BATCH) or self._poller.wait_finely(wait, BATCH)
            else:
                # What has arrived must not wait until the schedule is caught up with.
                events = poll(0, BATCH_WHEN_LATE)
            if not events:
                now = clock()
            several = len(events) > 1
            if several:
                taken = clock()
            for fd, event in events:
                client = by_fd[fd]
                if event != readable or not client.steady:
                    client.ready(event)
                    now = clock()
                    continue
                try:
                    data = client.recv(client.room)
                except OSError as error:
                    client.fail(error_name(error))
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
                message = client.message
                client.message = message + 1
                request, client.expected = client.pairs[message & mask]
                client.sent_at = now
                try:
                    sent = client.send(request)
                except OSError as error:
                    client.send_failed(request, error)
                    continue
                if sent != client.request_size:
                    client.sent_in_part(request, sent)
            if several:
                # Each waited for those before it in the batch, on average for half of it.
                self._waits_ns += (now - taken) * (len(events) - 1) // 2
            if wait <= 0:
                return

    def _keep_time(self, now: int) -> None:
        """Do everything that is due at `now`, and set the next deadline."""
        self._deadline = NEVER
        if self._quiet and self._window.begins <= now:
            self._resume(now)
        timers = self._timers
        if not self.holding:
            while timers and timers[0][0] <= now:
                when, _, client = heapq.heappop(timers)
                if client.wake_at == when:
                    client.wake(now)
            if self._connecting and now >= self._next_connect:
                self._connect_some(now)
            self._send_due(now)
        if now >= self._next_sweep:
            self._next_sweep = now + self._sweep_every
            oldest = now - self._timeout_ns
            for client in (*self._talking, *self._knocking):
                client.check_time(oldest)
            self._knocking = [one for one in self._knocking if one.state == CONNECTING]
        self._keep_window(now)
        if now >= self._next_snapshot:
            self._next_snapshot = now + SNAPSHOT_NS
            self._line.tell("snapshot", self._snapshot())
        if self.holding:
            self._keep_holding(now)
        else:
            self._deadline = min(
                self._deadline,
                timers[0][0] if timers else NEVER,
                self._next_connect if self._connecting else NEVER,
                *(schedule.next_due for schedule, _ in self._open_loops),
                self._next_slice,
                self._window.closes if self._opened else self._window.opens,
                self._stop_at,
            )
        self._deadline = min(
            self._deadline, self._next_sweep, self._next_snapshot, now + LONGEST_WAIT_NS
        )

    def _connect_some(self, now: int) -> None:
        """Begin the connects whose time has come, a few at a time."""
        if self._knocking and self._near:
            self._turn_away(now)
        for _ in range(min(CONNECTS_AT_ONCE, len(self._to_connect))):
            if now < self._next_connect:
                break
            if len(self._knocking) >= KNOCKING_AT_ONCE and self._near:
                break
            client = self._to_connect.popleft()
            client.connect()
            if client.group.silent:
                if client.state == CONNECTING:
                    self._knocking.append(client)
                else:
                    self._let_in()
            if self._connect_every:
                self._next_connect += round(self._connect_every)
        if self._near and len(self._knocking) >= min(KNOCKING_AT_ONCE, len(self._to_connect) + 1):
            self._next_connect = max(self._next_connect, now + MILLISECOND)

    @property
    def _connecting(self) -> bool:
        """Whether somebody is to connect, or to be turned away."""
        return bool(self._to_connect or (self._knocking and self._near))

    def _let_in(self) -> None:
        """A silent client was let in: the server's queue is not full."""
        self._turned_away_at = 0
        self._knock_again = KNOCK_AGAIN_NS

    def _turn_away(self, now: int) -> None:
        """Take back the connects of silent clients that found the server's queue full."""
        waiting = [one for one in self._knocking if one.state == CONNECTING]
        if len(waiting) < len(self._knocking):
            self._let_in()
        self._knocking = []
        late: list[Client] = []
        for client in waiting:
            knocks = now - client.connect_started < LET_IN_NS or client.is_through()
            (self._knocking if knocks else late).append(client)
        if not late:
            return
        self._turned_away_at = self._turned_away_at or now
        if now - self._turned_away_at >= self._timeout_ns:
            for client in late:
                client.fail("ETIMEDOUT")  # and so do those behind them, at their first try
            return
        for client in late:
            client.take_back()
        self._to_connect.extendleft(reversed(late))
        self._next_connect = now + self._knock_again
        self._knock_again = min(2 * self._knock_again, KNOCK_AGAIN_AT_MOST_NS)

    def _send_due(self, now: int) -> None:
        for schedule, clients in self._open_loops:
            for _ in range(SENDS_AT_ONCE):
                if schedule.next_due > now:
                    break
                place, due = schedule.take()
                clients[place].fall_due(due)

    def _keep_window(self, now: int) -> None:
        if self.holding:
            return
        if not self._opened and self._window.opens <= now and self._stop_at == NEVER:
            self._opened = now
            self._warmed_up_at = self._warmed_up_at or now
            self._cpu = time.process_time_ns()
            self._waits_ns = 0
            self._next_slice = now + self._slice_ns
            for group in self._groups:
                group.open_window()
        if now >= self._next_slice:
            self._next_slice += self._slice_ns
            for group in self._groups:
                group.state.cut_slice()
        if now >= min(self._window.closes, self._stop_at):
            self._hold(now)

    def _hold(self, now: int) -> None:
        """Take the load off: no message is begun from here on, until it is on again."""
        self.holding = True
        self.introducing = False
        self._held_at = now
        self._warmed_up_at = self._warmed_up_at or now
        for schedule, clients in self._open_loops:
            # What fell due before the end was intended, though it cannot be sent now.
            while schedule.next_due <= min(now, self._window.closes):
                place, due = schedule.take()
                clients[place].fall_due(due)
            schedule.hold()
        if self._opened:
            self._close_window(now)
        self._frozen = [(when - now, one) for when, _, one in self._timers if one.wake_at == when]
        self._timers.clear()
        for client in self._talking:
            client.steady = False
        self._next_slice = NEVER
        self._awaited = len(self._talking)
        self._drain_until = now + self._drain_ns()

    def _close_window(self, now: int) -> None:
        """Take the figures of the window that was open until now."""
        # The timer is late by microseconds: what is left over is no slice of its own.
        whole = now - (self._next_slice - self._slice_ns) > self._slice_ns // 2
        seconds, cpu = (now - self._opened) / SECOND, time.process_time_ns() - self._cpu
        found = Turn(
            round=self._window.round,
            started=self._opened / SECOND,
            seconds=seconds,
            engine_cpu_seconds=cpu / SECOND,
            busiest_worker_cpu=cpu / SECOND / seconds if seconds else 0.0,
            engine_wait_seconds=self._waits_ns / SECOND,
        )
        for group in self._groups:
            group.state.cut_last_slice(whole)
            group.close_window(found, now)
        self._windows.append(found)
        self._window = Window(NEVER, NEVER)
        self._opened = 0

    @property
    def _ending(self) -> bool:
        """Whether the load is off for good."""
        return self.holding and (self._last or self._stop_at == 0)

    def _keep_holding(self, now: int) -> None:
        """While the load is off: once nobody waits for a reply any more, say so or finish."""
        if not self._quiet and not self._drained(now):
            self._deadline = now + DRAIN_CHECK_NS
        elif self._ending:
            self._finished = True
            self._deadline = 0
        else:
            self._deadline = self._window.begins
            if not self._quiet:
                self._quiet = True
                self._next_sweep = self._next_snapshot = NEVER
                self._line.tell("snapshot", self._snapshot())
                self._line.tell("held", None)

    def _drain_ns(self) -> int:
        """How long to wait for a reply at least: as long as the slowest so far took."""
        slowest = max((group.state.tally.service.max or 0.0 for group in self._groups), default=0.0)
        return min(max(DRAIN_NS, round(slowest * SECOND)), LONGEST_DRAIN_NS)

    def _drained(self, now: int) -> bool:
        """Whether no client that is being served has a message without a reply, or time is up."""
        awaited = sum(
            (client.state == WAITING or bool(client.queue)) and client.first_reply_at > 0
            for client in self._talking
        )
        if awaited < self._awaited and not self._ending:
            self._drain_until = min(now + self._drain_ns(), self._held_at + LONGEST_DRAIN_NS)
        self._awaited = awaited
        return not awaited or now >= self._drain_until

    def _resume(self, now: int) -> None:
        """Put the load on again; the clocks of clients and schedules stood still meanwhile."""
        self.holding = self._quiet = False
        self._turned_away_at = 0
        held = now - self._held_at
        self._next_sweep = now + self._sweep_every
        self._next_snapshot = now + SNAPSHOT_NS
        for schedule, _ in self._open_loops:
            schedule.resume(held)
        for left, client in self._frozen:
            self.wake(client, now + left)
        for group in self._groups:
            group.state.held_ns += held
        for client in (*self._talking, *self._knocking):
            client.resume(now, held)

    def _obey(self, kind: str, value: Any) -> None:
        """Act on a word from the parent: about the load, or a question."""
        if kind == "window":
            self._window = value
        elif kind == "hold" and not self.holding:
            self._hold(clock())
        elif kind == "end":
            self._last = True
        elif kind == "stop" and not self._ending:
            self._cut_short = True
            self._stop_at = 0
        elif kind == "ask":
            self._line.tell("awaiting", self._awaiting_first_reply())
        self._deadline = 0

    # Results

    def _awaiting_first_reply(self) -> int:
        """Clients of closed loops that have sent their first message and have no reply yet."""
        return sum(
            client.state == WAITING and not client.first_reply_at and not client.group.open_loop
            for client in self._talking
        )

    def _snapshot(self) -> WorkerSnapshot:
        states = [group.state for group in self._groups]
        return WorkerSnapshot(
            answered=sum(client.answered for client in self._talking),
            connected=sum(state.tally.connected for state in states),
            served=sum(state.tally.served for state in states),
            response=Histogram.merged(state.response for state in states),
        )

    def _tally(self) -> Tally:
        windows, warm_up = self._windows, None
        seconds = sum(window.seconds for window in windows)
        cpu = sum(window.engine_cpu_seconds for window in windows)
        if self._connected_at and self._plan.messages_per_client is None:
            warm_up = max(0, self._warmed_up_at - self._connected_at) / SECOND
        return Tally(
            groups=[group.finish(self._started) for group in self._groups],
            started=self._started / SECOND,
            connecting_seconds=max(0, (self._connected_at or clock()) - self._started) / SECOND,
            window_started=windows[0].started if windows else None,
            window_seconds=seconds,
            cut_short=self._cut_short,
            engine_cpu_seconds=cpu if windows else None,
            engine_wait_seconds=(
                sum(window.engine_wait_seconds for window in windows) if windows else None
            ),
            engine_memory_bytes=peak_memory_bytes(),
            busiest_worker_cpu=cpu / seconds if seconds else None,
            stopped_early=self._stopped_early,
            turns=[window for window in windows if window.round],
            warmup_seconds=warm_up,
        )


def _interleaved(groups: list[GroupLoad]) -> list[Client]:
    """All clients in the order in which they connect: each group spread evenly over the whole."""
    placed = [
        ((place + 0.5) / len(group.clients), client)
        for group in groups
        for place, client in enumerate(group.clients)
    ]
    return [client for _, client in sorted(placed, key=lambda pair: pair[0])]
