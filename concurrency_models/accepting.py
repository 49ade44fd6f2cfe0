"""How clients come in: one `accept` for all models, and the accept loop of those that block.

A client that cannot be served yet waits where the kernel queues it: while something is short, and
while the server is full. Errors in accepting are judged in one place, `shortage`.
"""

import select
import signal
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Final, Generic, TypeVar, TypeVarTuple

from concurrency_models.datagrams import receive_datagram
from concurrency_models.self_pipe import POLL_SECONDS
from concurrency_models.server import Datagram, Server
from concurrency_models.shortage import PAUSE_SECONDS
from concurrency_models.systems import ACCEPTED_INHERIT

AT_ONCE: Final = 64
"""How many clients are let in at a time before we look what else there is to do."""

Arrival = TypeVar("Arrival", socket.socket, Datagram)
Arguments = TypeVarTuple("Arguments")


class StoppedError(Exception):
    """Raised in a signal handler, to end the accept() that it has interrupted."""


def accept(server: Server) -> socket.socket | None:
    """Accept the next client; None where none waits or may come in.

    The client is admitted; whoever takes it releases it.
    """
    if not server.reserve_place():
        return None
    try:
        client, _ = server.listener.accept()
        if ACCEPTED_INHERIT:
            client.setblocking(True)  # as it is on Linux; event loops have it their way
        server.admit(client)
    except BlockingIOError:
        server.give_place_back()
        return None
    except (OSError, MemoryError) as error:
        server.give_place_back()
        server.shortage.pause_after_accept(error)
        return None
    if server.narration.listens:
        server.narration.connected(client)
    return client


def receive(server: Server) -> Datagram | None:
    """Receive a datagram that waits, without blocking; None where none waits or may come in.

    Whoever takes it calls `server.answered`.
    """
    if not server.may_accept():
        return None
    try:
        datagram = receive_datagram(server.listener)
    except BlockingIOError:
        return None
    except (OSError, MemoryError) as error:
        server.shortage.pause_after_accept(error)
        return None
    server.admit(datagram)
    return datagram


def start_waiting(server: Server, start: Callable[[socket.socket], object]) -> None:
    """Accept the clients that wait, and call `start`, which begins to serve, with each.

    `AT_ONCE` at the most: an event loop has more to do. Whom there is no memory for is let go.
    """
    for client in islice(iter(partial(accept, server), None), AT_ONCE):
        try:
            start(client)
        except MemoryError as error:
            server.let_go(client, error)


def receive_waiting(server: Server) -> Iterator[Datagram]:
    """Receive the datagrams that wait, `AT_ONCE` at the most."""
    return islice(iter(partial(receive, server), None), AT_ONCE)


class Arrivals(ABC, Generic[Arrival]):
    """What comes to a server that blocks, one after another, until the server stops.

    Several threads, and processes with copies of it, may iterate over one at a time: each arrival
    goes to one of them. Once the server stops, iterating waits for the talks of this
    process to end, to the deadline.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._not_begun: set[Arrival] = set()
        self._taking = threading.Lock()
        self._iterating = 0

    @abstractmethod
    def take(self) -> Arrival | None:
        """Return the next one that waits; None where none does or may come in."""

    @abstractmethod
    def drop(self, arrived: Arrival) -> None:
        """Let one go that could not be begun."""

    def __iter__(self) -> Iterator[Arrival]:
        server = self.server
        if threading.current_thread() is not threading.main_thread():
            # Handlers run in the main thread, which may be blocked where only a signal of its own
            # wakes it: in join(), say. So none may be delivered here.
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        arrivals = select.poll()  # needs no descriptor: there may be none left
        with self._taking:
            if server.stopping:
                return
            self._iterating += 1
            arrivals.register(server.self_pipe, select.POLLIN)
            arrivals.register(server.listener, select.POLLIN)
        server.ready()
        while not server.stopping:
            try:
                if not server.may_accept():
                    self._wait_for_room(server.shortage.seconds_left() or PAUSE_SECONDS)
                elif self.may_take(arrivals):
                    for _ in range(AT_ONCE):
                        with self._taking:
                            arrived = self.take()
                        if arrived is None:
                            break
                        yield arrived
                        if self._not_begun and arrived in self._not_begun:
                            self.drop(arrived)
            except MemoryError as error:  # clients have it, whom other threads serve
                server.shortage.pause_after(error)
        self._end()

    def _end(self) -> None:
        server = self.server
        server.self_pipe.wake()  # another thread may wait, and have missed it
        with self._taking:
            self._iterating -= 1
            last = not self._iterating  # the others may be about to accept
        if last and server.settings.transport == "tcp":
            server.close_listener()
        while server.clients and time.monotonic() < server.deadline:
            time.sleep(POLL_SECONDS)
        if last:  # over UDP, the answers leave by it
            server.close_listener()

    def may_take(self, arrivals: select.poll) -> bool:
        """Wait for somebody to come, or for the self-pipe; return whether it was not the latter."""
        return not self._is_woken(arrivals.poll())

    def _is_woken(self, events: list[tuple[int, int]]) -> bool:
        """Whether the self-pipe ended a wait, and nobody who came."""
        server = self.server
        if server.self_pipe.fileno() not in dict(events):
            return False
        if not server.stopping:  # then it is for all who wait
            server.self_pipe.clear()
        server.in_service()
        return True

    def _wait_for_room(self, seconds: float) -> None:
        """Wait until a client has left, or for so long: not every child ends with a signal."""
        departures = select.poll()
        departures.register(self.server.self_pipe, select.POLLIN)
        if not self._is_woken(departures.poll(seconds * 1000)):
            self.server.in_service()

    def begin(
        self, arrived: Arrival, start: Callable[[*Arguments], object], *arguments: *Arguments
    ) -> None:
        """Call `start`, which begins to serve, as soon as a thread or process can be had.

        If the server stops before, the one who came is let go.
        """
        while not self.server.stopping:
            try:
                start(*arguments)
                return
            except (OSError, RuntimeError, MemoryError) as error:
                self.server.shortage.pause_after(error)
                self._wait_for_room(self.server.shortage.seconds_left())
        self._not_begun.add(arrived)


class Incoming(Arrivals[socket.socket]):
    """Clients, as connected, blocking sockets; whoever takes one releases it."""

    def take(self) -> socket.socket | None:
        return accept(self.server)

    def drop(self, arrived: socket.socket) -> None:
        self.server.release(arrived)


class BlockingIncoming(Incoming):
    """Clients, for a process whose one thread has nothing but them to wait for: in accept(2).

    Where several processes wait there, the kernel wakes one of them for each client; where they
    wait for the listener to become readable, it wakes all, and all but one in vain: the thundering
    herd.
    """

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        self._in_accept = False
        server.listener.setblocking(True)
        server.when_stopped.add(self._break_off)

    def take(self) -> socket.socket | None:
        self._in_accept = True  # from here on, `stop` raises StoppedError
        try:
            return accept(self.server)
        except StoppedError:
            self.server.give_place_back()
            return None
        finally:
            self._in_accept = False

    def _break_off(self, _server: Server) -> None:
        if self._in_accept:
            raise StoppedError  # otherwise accept() would go on: it only tries again after a signal

    def may_take(self, arrivals: select.poll) -> bool:  # noqa: ARG002 - it takes, and waits there
        return True


class IncomingDatagrams(Arrivals[Datagram]):
    """Datagrams; whoever takes one answers it, see `datagrams`."""

    def take(self) -> Datagram | None:
        return receive(self.server)

    def drop(self, arrived: Datagram) -> None:
        self.server.answered(arrived)
