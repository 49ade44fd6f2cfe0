"""What every model is handed: a listener, the clients that come to it, limits, and the stop.

A model decides who runs a conversation and when; everything here is the same for all of them. The
server owns its listener and counts the clients that it admitted; whoever runs a conversation
releases its client.
"""

import math
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from concurrency_models.inbox import RECEIVE_SIZE, Scratch
from concurrency_models.listener import SocketAddress, open_listener
from concurrency_models.narration import Narration
from concurrency_models.self_pipe import POLL_SECONDS, SelfPipe
from concurrency_models.settings import Settings
from concurrency_models.shortage import PAUSE_SECONDS, Shortage
from concurrency_models.talk import Talk

AT_ONCE: Final = 64
"""How many clients are let in at a time before we look what else there is to do."""


@dataclass(frozen=True, eq=False)
class Datagram:
    """A message that came over UDP, as it came, and the address to answer it to."""

    data: bytes
    address: SocketAddress


Arrival = TypeVar("Arrival", socket.socket, Datagram)

Interrupt = Callable[[], bool]
"""Wakes a thread that is blocked in a conversation; returns False to be called again."""


class StoppedError(Exception):
    """Raised in a signal handler, to end the accept() that it has interrupted."""


def narration_of(settings: Settings) -> Narration:
    """Return who is told what clients do: prints it, writes a trace of it, or does nothing."""
    if not settings.trace:
        return Narration(settings.verbose)
    from concurrency_models.trace import Tracing  # noqa: PLC0415 - forked children need not map it

    return Tracing(settings.trace)


class Server:
    """The part of a server that does not depend on its model of concurrency.

    Blocking models iterate over `incoming` and have `talk`, of the module `blocking`, hold each
    conversation. Event loops watch `listener` and `self_pipe`, call `accept` and drive a `new_talk`
    for each client. `stop` may be called from a signal handler or from any thread.
    """

    def __init__(self, settings: Settings, listener: socket.socket | None = None) -> None:
        self.settings = settings
        self._listener = listener
        self._twins: list[socket.socket] = []
        self.self_pipe = SelfPipe()
        """Readable when a loop should look up: the server stops, or there may be room again."""
        self.narration = narration_of(settings)
        self.shortage = Shortage(self.warn)
        self.clients: dict[socket.socket | Datagram, Interrupt | None] = {}
        """The clients that this process has admitted and not released, and how to wake whoever is
        blocked in the conversation with one."""
        self.in_service: Callable[[], int] = lambda: len(self.clients)
        """How many clients are being served. Models whose clients live in other processes set it;
        it is called whenever one may have left."""
        self.accepted = 0
        """How many clients this process has accepted in all."""
        self.accepted_by_worker: list[int] | None = None
        """In the parent of worker processes, once they have ended: how many each of them served."""
        self.stopping = False
        self.deadline = math.inf
        """When, on the monotonic clock, conversations must be over; infinite until we stop."""
        self.kill_time = math.inf
        """When child processes that are still there should be killed, on the same clock."""
        self.end_at_once: Callable[[], None] = lambda: None
        """What to do, besides, when the program is to end at once: ends the children."""
        self._when_ready: list[Callable[[], None]] = []
        self._not_begun: set[socket.socket | Datagram] = set()
        self._taking = threading.Lock()  # several threads may iterate over `incoming`
        self._iterating = 0
        self._blocks_in_accept = False
        self._in_accept = False
        self._last_warning = -math.inf

    def __reduce__(self) -> tuple[object, ...]:
        # A process that does not inherit our memory needs the settings and nothing else.
        return Server, (self.settings,)

    # Listening

    @property
    def listener(self) -> socket.socket:
        """The listening, non-blocking socket."""
        assert self._listener is not None, "this process was given no listener"
        return self._listener

    def open_twin(self) -> socket.socket:
        """Return another socket that listens at the same port; closed when the first one is."""
        at_this_port = replace(self.settings, port=self.listener.getsockname()[1])
        self._twins.append(open_listener(at_this_port, share_port=True))
        return self._twins[-1]

    def close_listener(self) -> None:
        """Close this process's copies of the listening sockets, where it has any."""
        for listener in self._twins:
            listener.close()
        if self._listener is not None:
            self._listener.close()

    def when_ready(self, act: Callable[[], None]) -> None:
        """Have `act` called, once, as soon as clients are served."""
        self._when_ready.append(act)

    def ready(self) -> None:
        """Say that clients are served from now on; more than once does no harm."""
        with suppress(IndexError):
            while True:
                self._when_ready.pop()()

    # Accepting

    def incoming(self) -> Iterator[socket.socket]:
        """Accept one client after another, until the server stops.

        Yields connected, blocking sockets; whoever takes one releases it. Leaves clients to wait in
        the kernel's queue while something is short or the server is full. Once it stops, waits for
        the conversations of this process to end, to the deadline. Several threads and processes may
        iterate at a time: each client goes to one of them.
        """
        return self._arrivals(self.accept, self.release)

    def datagrams(self) -> Iterator[Datagram]:
        """Receive one datagram after another, as `incoming` accepts clients; see `answer`."""
        return self._arrivals(self.receive, self.answered)

    def _arrivals(
        self, take: Callable[[], Arrival | None], drop: Callable[[Arrival], None]
    ) -> Iterator[Arrival]:
        if threading.current_thread() is not threading.main_thread():
            # Handlers run in the main thread, which may be blocked where only a signal of its own
            # wakes it: in join(), say. So none may be delivered here.
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        arrivals = select.poll()  # needs no descriptor: there may be none left
        with self._taking:
            if self.stopping:
                return
            self._iterating += 1
            arrivals.register(self.self_pipe, select.POLLIN)
            arrivals.register(self.listener, select.POLLIN)
        self.ready()
        while not self.stopping:
            if not self.may_accept():
                self._wait_for_room(self.shortage.seconds_left() or PAUSE_SECONDS)
            elif self._blocks_in_accept or not self._is_woken(arrivals.poll()):
                for _ in range(AT_ONCE):
                    with self._taking:
                        arrived = take()
                    if arrived is None:
                        break
                    yield arrived
                    if arrived in self._not_begun:
                        drop(arrived)
        self.self_pipe.wake()  # another thread may wait, and have missed it
        with self._taking:
            self._iterating -= 1
            last = not self._iterating  # the others may be about to accept
        if last and self.settings.transport == "tcp":
            self.close_listener()
        while self.clients and time.monotonic() < self.deadline:
            time.sleep(POLL_SECONDS)
        if last:  # over UDP, the answers leave by it
            self.close_listener()

    def _is_woken(self, events: list[tuple[int, int]]) -> bool:
        """Whether the self-pipe ended a wait, and not a client."""
        if all(descriptor != self.self_pipe.fileno() for descriptor, _ in events):
            return False
        if not self.stopping:  # then it is for all who wait
            self.self_pipe.clear()
        self.in_service()
        return True

    def _wait_for_room(self, seconds: float) -> None:
        """Wait until a client has left, or for so long: not every child ends with a signal."""
        departures = select.poll()
        departures.register(self.self_pipe, select.POLLIN)
        if not self._is_woken(departures.poll(seconds * 1000)):
            self.in_service()

    def block_in_accept(self) -> None:
        """Let `accept` block until a client comes.

        For a process whose one thread has nothing else to wait for. Where several processes wait in
        accept(2), the kernel wakes one of them for each client; where they wait for the listener to
        become readable, it wakes all, and all but one in vain: the thundering herd.
        """
        self._blocks_in_accept = True
        self.listener.setblocking(True)

    def accept(self) -> socket.socket | None:
        """Accept the next client, without blocking; None where none waits or may come in.

        The client is admitted; whoever takes it releases it.
        """
        self._in_accept = self._blocks_in_accept  # from here on, `stop` raises StoppedError
        try:
            return self._accept()
        except StoppedError:
            return None
        finally:
            self._in_accept = False

    def _accept(self) -> socket.socket | None:
        if not self.may_accept():
            return None
        try:
            client, _ = self.listener.accept()
        except BlockingIOError:
            return None
        except OSError as error:
            self.shortage.pause_after_accept(error)
            return None
        self.admit(client)
        self.narration.connected(client)
        return client

    def receive(self) -> Datagram | None:
        """Receive a datagram that waits, without blocking; None where none waits or may come in.

        Whoever takes it calls `answered`.
        """
        if not self.may_accept():
            return None
        try:
            datagram = Datagram(*self.listener.recvfrom(RECEIVE_SIZE))
        except BlockingIOError:
            return None
        self.admit(datagram)
        return datagram

    def admit(self, client: socket.socket | Datagram) -> None:
        """Count a client, or a datagram, in; `release` and `answered` count it out."""
        self.accepted += 1
        self.clients[client] = None

    def may_accept(self) -> bool:
        """Whether to watch the listener: False while stopping, full, or short of something."""
        if self.stopping or self.shortage:
            return False
        most = self.settings.max_clients
        return not most or self.in_service() < most

    def begin(self, client: socket.socket | Datagram, start: Callable[[], object]) -> None:
        """Call `start`, which begins a conversation, as soon as a thread or process can be had.

        If the server stops before, `incoming` and `datagrams` let the client go.
        """
        while not self.stopping:
            try:
                start()
                return
            except (OSError, RuntimeError) as error:
                self.shortage.pause_after(error)
                self._wait_for_room(self.shortage.seconds_left())
        self._not_begun.add(client)

    def limit_clients(self, most: int) -> None:
        """Serve no more than `most` clients at a time, and still no more than was asked for."""
        limit = min(most, self.settings.max_clients or most)
        self.settings = replace(self.settings, max_clients=limit)

    def new_talk(self, client: socket.socket, scratch: Scratch | None = None) -> Talk:
        """Return the talk to hold with a client that was just accepted."""
        return self.narration.new_talk(self.settings.terms, client, scratch)

    def release(self, client: socket.socket) -> None:
        """Close this process's copy of a client's socket and count the client out."""
        client.close()
        self.narration.forget(client)
        self._count_out(client)

    def answered(self, datagram: Datagram) -> None:
        """Count out a datagram."""
        self._count_out(datagram)

    def _count_out(self, client: socket.socket | Datagram) -> None:
        self.clients.pop(client, None)
        if self.settings.max_clients or self.shortage:
            self.self_pipe.wake()

    # Stopping

    def stop(self) -> None:
        """Accept nobody any more, and let every conversation end at its next pause."""
        if self.stopping:
            return
        # What is left of the grace is for closing up once the conversations are over.
        now = time.monotonic()
        self.deadline = now + 0.8 * self.settings.grace
        self.kill_time = now + 0.95 * self.settings.grace
        self.stopping = True
        self.self_pipe.wake()
        blocked = [interrupt for interrupt in list(self.clients.values()) if interrupt]
        if blocked:
            pending = [interrupt for interrupt in blocked if not interrupt()]
            try:
                threading.Thread(target=self._interrupt, args=(pending,), daemon=True).start()
            except RuntimeError:  # no thread to be had, so no time to be given
                self.deadline = now
                self._interrupt([])
        if self._in_accept:
            raise StoppedError  # otherwise accept() would go on: it only tries again after a signal

    def _interrupt(self, pending: list[Interrupt]) -> None:
        """Interrupt those that could not be at once and, at the deadline, whoever is left."""
        while (left := self.deadline - time.monotonic()) > 0:
            time.sleep(min(left, POLL_SECONDS) if pending else left)
            pending = [interrupt for interrupt in pending if not interrupt()]
        for interrupt in list(self.clients.values()):
            if interrupt:
                interrupt()

    # Saying what goes on

    def warn(self, text: str) -> None:
        """Print a line for whoever runs the server, on standard error, once a second at most."""
        now = time.monotonic()
        if now - self._last_warning >= 1:
            self._last_warning = now
            print(f"concurrency_models: {text}", file=sys.stderr, flush=True)
