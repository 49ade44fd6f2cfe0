"""What every model is handed: a listener, the clients that come to it, limits, and the stop.

A model decides who runs a talk and when; everything here is the same for all of them. The
server owns its listener and counts the clients that it admitted; whoever runs a talk
releases its client.
"""

import math
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from concurrency_models.inbox import Scratch
from concurrency_models.listener import SocketAddress, open_listener
from concurrency_models.narration import Narration
from concurrency_models.self_pipe import SelfPipe
from concurrency_models.settings import Settings
from concurrency_models.shortage import LET_GO, Shortage
from concurrency_models.talk import Talk


@dataclass(frozen=True, eq=False)
class Datagram:
    """A message that came over UDP, as it came.

    address: whom to answer. asked: ancillary data that says which of our addresses was asked, for
    the answer to leave from it.
    """

    data: bytes
    address: SocketAddress
    asked: tuple[tuple[int, int, bytes], ...] = ()


def narration_of(settings: Settings) -> Narration:
    """Return who is told what clients do: prints it, writes a trace of it, or does nothing."""
    if not settings.trace:
        return Narration(settings.verbose)
    from concurrency_models.trace import Tracing  # noqa: PLC0415 - forked children need not map it

    return Tracing(settings.trace)


class Server:
    """The part of a server that does not depend on its model of concurrency.

    Clients come in by the module `accepting`. Blocking models iterate over its `Incoming` and have
    `talk`, of the module `blocking`, hold each talk. Event loops watch `listener` and
    `self_pipe`, call `accept` and drive a `new_talk` for each client. `stop` may be called from a
    signal handler or from any thread.
    """

    def __init__(self, settings: Settings, listener: socket.socket | None = None) -> None:
        self.settings = settings
        if settings.switch_interval is not None:
            # Whatever serves, be it a worker or another interpreter, makes a server of its own.
            sys.setswitchinterval(settings.switch_interval)
        self._listener = listener
        self._twins: list[socket.socket] = []
        self.self_pipe = SelfPipe()
        """Readable when a loop should look up: the server stops, or there may be room again."""
        self.narration = narration_of(settings)
        self.shortage = Shortage(self.warn)
        self.clients: set[socket.socket | Datagram] = set()
        """The clients that this process has admitted and not released."""
        self.in_service: Callable[[], int] = lambda: len(self.clients)
        """How many clients are being served. Models whose clients live in other processes set it;
        it is called whenever one may have left."""
        self.accepted = 0
        """How many clients this process has accepted in all."""
        self.accepted_by_worker: list[int] | None = None
        """In the parent of worker processes, once they have ended: how many each of them served."""
        self.stopping = False
        self.deadline = math.inf
        """When, on the monotonic clock, talks must be over; infinite until we stop."""
        self.kill_time = math.inf
        """When child processes that are still there should be killed, on the same clock."""
        self.when_stopped: set[Callable[[Server], None]] = set()
        """What to do, besides, where `stop` was called: in a signal handler, it may be."""
        self.end_at_once: Callable[[], None] = lambda: None
        """What to do, besides, when the program is to end at once: ends the children."""
        self._when_ready: list[Callable[[], None]] = []
        self._last_warning = -math.inf
        self._warning = threading.Lock()  # several threads may be short of something

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

    # Clients

    def admit(self, client: socket.socket | Datagram) -> None:
        """Count a client, or a datagram, in; `release` and `answered` count it out."""
        self.accepted += 1
        self.clients.add(client)

    def may_accept(self) -> bool:
        """Whether to watch the listener: False while stopping, full, or short of something."""
        if self.stopping or (self.shortage.until and self.shortage):
            return False
        most = self.settings.max_clients
        return not most or self.in_service() < most

    def pause_seconds(self) -> float | None:
        """Return for how long to leave the listener alone: 0.0 where clients may come in now.

        None is until the self-pipe says that something has changed. It is one question, for whoever
        asks `may_accept` and then for how long may miss the end of a shortage in between.
        """
        seconds = self.shortage.seconds_left()
        if seconds:
            return seconds
        return 0.0 if self.may_accept() else None

    def reserve_place(self) -> bool:
        """Reserve a place for the next client, before it is accepted; False where none is free."""
        return self.may_accept()

    def give_place_back(self) -> None:
        """Take back a reservation: nobody came."""

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
        if self.narration.listens:
            self.narration.forget(client)
        self._count_out(client)

    def let_go(self, client: socket.socket, error: MemoryError) -> None:
        """Close a client that there is no memory to serve; new ones wait, and the others go on."""
        self.shortage.pause_after(error, LET_GO)
        if client in self.clients:
            self.release(client)

    def answered(self, datagram: Datagram) -> None:
        """Count out a datagram."""
        self._count_out(datagram)

    def _count_out(self, client: socket.socket | Datagram) -> None:
        self.clients.discard(client)
        if self.settings.max_clients or (self.shortage.until and self.shortage):
            self.self_pipe.wake()

    # Stopping

    def stop(self) -> None:
        """Accept nobody any more, and let every talk end at its next pause."""
        if self.stopping:
            return
        # What is left of the grace is for closing up once the talks are over.
        now = time.monotonic()
        self.deadline = now + 0.8 * self.settings.grace
        self.kill_time = now + 0.95 * self.settings.grace
        self.stopping = True
        self.self_pipe.wake()
        for act in list(self.when_stopped):
            act(self)

    # Saying what goes on

    def warn(self, text: str) -> None:
        """Print a line for whoever runs the server, on standard error, once a second at most."""
        with self._warning:
            now = time.monotonic()
            if now - self._last_warning < 1:
                return
            self._last_warning = now
        sys.stderr.write(f"concurrency_models: {text}\n")  # at once: threads print between writes
        sys.stderr.flush()
