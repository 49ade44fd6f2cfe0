"""A fixed number of worker processes, each with a server of its own; one that dies is replaced.

What they count lies in memory that all share, so that it survives a worker that is killed.
"""

import ctypes
import fcntl
import mmap
import multiprocessing
import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Final, Self

from concurrency_models.lifeline import Lifeline
from concurrency_models.server import Datagram, Server
from concurrency_models.settings import Settings

PIPE_BYTES: Final = 65_536
"""What a pipe takes on Linux, unless asked for more."""

RESTART_SECONDS: Final = 1.0
"""The shortest time from one start of a worker to the next: one that dies at once must not have us
do nothing but start it again."""


def count_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pool_size(settings: Settings, default: int) -> int:
    """Return how many workers to have: no more than there can be clients."""
    size = settings.workers or default
    return min(size, settings.max_clients or size)


class Tokens:
    """Permits that processes take and give back: a byte in a pipe for each.

    A semaphore of `multiprocessing` would do, but has a name in the file system, and when its owner
    is killed a warning about it is printed.
    """

    def __init__(self, count: int) -> None:
        self._reader, self._writer = multiprocessing.Pipe(duplex=False)
        for end in self._reader, self._writer:
            os.set_blocking(end.fileno(), False)
        most = count
        with suppress(AttributeError):  # not on Linux
            # A pipe of Linux has pages, and one that is read in part is as good as full. So two are
            # kept free: one for that, one for what is given back meanwhile.
            spare = 2 * mmap.PAGESIZE
            with suppress(OSError):  # more than this user may have
                wanted = max(count + spare + mmap.PAGESIZE, PIPE_BYTES)
                fcntl.fcntl(self._writer.fileno(), fcntl.F_SETPIPE_SZ, wanted)
            most = fcntl.fcntl(self._writer.fileno(), fcntl.F_GETPIPE_SZ) - spare
        self.count = os.write(self._writer.fileno(), bytes(min(count, most))) if count else 0
        """How many there are: as many as fit into the pipe, which may be fewer than asked for."""

    def take(self) -> bool:
        """Take a permit and return True, or return False when there is none."""
        try:
            return bool(os.read(self._reader.fileno(), 1))
        except BlockingIOError:
            return False

    def give_back(self) -> None:
        """Return a permit."""
        os.write(self._writer.fileno(), b"\0")


class Ledger:
    """What workers count, each in a place of its own, so that nobody needs a lock.

    room: how many more clients the workers together may take, where there is a limit.
    """

    def __init__(self, workers: int, room: int | None) -> None:
        self.room = None if room is None else Tokens(room)
        self.accepted = multiprocessing.RawArray(ctypes.c_size_t, workers)
        self.released = multiprocessing.RawArray(ctypes.c_size_t, workers)
        self.ready = multiprocessing.RawArray(ctypes.c_bool, workers)
        self.warning = Tokens(1)
        self.last_warning = multiprocessing.RawValue(ctypes.c_double, 0.0)


class WorkerServer(Server):
    """The server of one worker: writes what it counts into the ledger.

    wake_parent: wakes the parent's server, by a byte sent to it. tell_of_releases: whether the
    parent is to be woken whenever a client is released.
    """

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        number: int,
        ledger: Ledger,
        wake_parent: socket.socket,
        tell_of_releases: bool,
    ) -> None:
        super().__init__(settings, listener)
        self.when_ready(self._report_ready)
        self._number = number
        self._ledger = ledger
        self._to_parent = wake_parent
        self._tell_of_releases = tell_of_releases
        self._counting = threading.Lock()  # a pool of threads releases clients

    def _report_ready(self) -> None:
        self._ledger.ready[self._number] = True
        self._wake_parent()

    def _wake_parent(self) -> None:
        with suppress(OSError):  # full: the parent is awake; or gone: we shall be told
            self._to_parent.send(b"\0")

    def reserve_place(self) -> bool:
        if not self.may_accept():
            return False
        room = self._ledger.room
        if room and not room.take():
            # Whoever makes room again is another process and cannot wake us.
            self.shortage.pause()
            return False
        return True

    def give_place_back(self) -> None:
        if self._ledger.room:
            self._ledger.room.give_back()

    def admit(self, client: socket.socket | Datagram) -> None:
        super().admit(client)
        self._ledger.accepted[self._number] += 1

    def release(self, client: socket.socket) -> None:
        super().release(client)
        with self._counting:
            self._ledger.released[self._number] += 1
        self.give_place_back()
        if self._tell_of_releases:
            self._wake_parent()

    def warn(self, text: str) -> None:
        # Once a second at most, whichever of the workers says it; if one is about to, it does.
        if self._ledger.warning.take():
            if time.monotonic() - self._ledger.last_warning.value >= 1:
                self._ledger.last_warning.value = time.monotonic()
                super().warn(text)
            self._ledger.warning.give_back()


@dataclass
class Worker:
    """One place in the pool, whichever process holds it."""

    number: int
    listener: socket.socket
    process: BaseProcess | None = None
    started: float = field(default=-RESTART_SECONDS)


class WorkerPool:
    """A context manager: workers are ready inside the block, at its end they have stopped.

    serve: what each worker does with its server, a function of a module. listeners: one for each
    worker, or the same one several times; the caller closes them. room: how many clients they may
    serve at a time, all together. listener_type: the kind of socket that a worker is to see its
    listener as. tell_of_releases: whether to wake the parent's server when a worker has released a
    client.
    """

    def __init__(
        self,
        server: Server,
        serve: Callable[[Server], None],
        listeners: Sequence[socket.socket],
        *,
        room: int | None = None,
        listener_type: type[socket.socket] = socket.socket,
        tell_of_releases: bool = False,
    ) -> None:
        self._server = server
        self._serve = serve
        self._listener_type = listener_type
        self._tell_of_releases = tell_of_releases
        self._events = selectors.DefaultSelector()
        self._lifeline = Lifeline(server)
        self._settings = replace(server.settings, max_clients=None)
        self.ledger = Ledger(len(listeners), room)
        if room and self.ledger.room and self.ledger.room.count < room:
            most = self.ledger.room.count
            server.warn(f"workers share places for {most:,} clients at the most, and not {room:,}")
        self.workers = [Worker(number, listener) for number, listener in enumerate(listeners)]

    def __enter__(self) -> Self:
        self._lifeline.__enter__()
        # A handler, though an empty one: only then does the alarm wake us.
        signal.signal(signal.SIGALRM, lambda *_: None)
        self._events.register(self._server.self_pipe, selectors.EVENT_READ)
        self._supervise_until(lambda: all(self.ledger.ready))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)  # as we end, Python takes its handler away
        self._server.close_listener()
        self._events.close()
        self._lifeline.__exit__(kind, error, trace)
        self._server.accepted_by_worker = list(self.ledger.accepted)
        self._server.accepted = sum(self.ledger.accepted)

    def supervise(self) -> None:
        """Keep every worker running until the server stops."""
        self._server.ready()
        self._supervise_until(lambda: False)

    def _supervise_until(self, reached: Callable[[], bool]) -> None:
        while not self._server.stopping:
            self.fill()
            if reached():
                return
            self._events.select()
            self._server.self_pipe.clear()

    def fill(self) -> None:
        """Start the workers that are not there; for those that are not due, have us woken later."""
        if all(worker.process for worker in self.workers) and not self._any_has_ended():
            return
        for worker in self.workers:
            if worker.process is not None and not worker.process.is_alive():
                self._server.warn(f"{how_it_ended(worker.process)}; another takes its place")
                self._events.unregister(worker.process.sentinel)
                worker.process = None
                self._count_out(worker.number)
            due = time.monotonic() - worker.started >= RESTART_SECONDS
            if worker.process is None and due and not self._server.shortage:
                self._start(worker)
        if not all(worker.process for worker in self.workers):
            signal.setitimer(signal.ITIMER_REAL, RESTART_SECONDS / 10)

    def _any_has_ended(self) -> bool:
        """Whether a worker has ended since the last time; one call, however many there are."""
        ready = (key.fileobj for key, _ in self._events.select(0))
        return any(ended is not self._server.self_pipe for ended in ready)

    def _count_out(self, number: int) -> None:
        """Count out the clients that a worker took with it."""
        while self.ledger.released[number] < self.ledger.accepted[number]:
            self.ledger.released[number] += 1
            if self.ledger.room:
                self.ledger.room.give_back()

    def _start(self, worker: Worker) -> None:
        worker.started = time.monotonic()
        try:
            process = multiprocessing.Process(
                target=run_worker,
                args=(
                    self._server, self._lifeline, self._serve, self._settings,
                    self._listener_type, worker.listener, worker.number, self.ledger,
                    self._server.self_pipe.writer, self._tell_of_releases,
                ),
            )  # fmt: skip
            self._lifeline.start(process)
        except (OSError, MemoryError) as error:
            self._server.shortage.pause_after(error)
        else:
            worker.process = process
            self._events.register(process.sentinel, selectors.EVENT_READ)


def run_worker(
    parent: Server,
    lifeline: Lifeline,
    serve: Callable[[Server], None],
    settings: Settings,
    listener_type: type[socket.socket],
    listener: socket.socket,
    number: int,
    ledger: Ledger,
    wake_parent: socket.socket,
    tell_of_releases: bool,
) -> None:
    """Be a worker until the parent lets go of the lifeline; runs in the worker's process."""
    own = listener_type(fileno=listener.detach())
    own.setblocking(False)
    server = WorkerServer(settings, own, number, ledger, wake_parent, tell_of_releases)
    lifeline.hold(server)
    # The kernel may give the signal to any of our threads, and the one that handles it may sleep.
    signal.set_wakeup_fd(server.self_pipe.writer.fileno(), warn_on_full_buffer=False)
    parent.close_listener()  # or what our siblings listen to would stay open as long as we live
    for client in parent.clients:  # who came when we had to be started, and goes to one of us
        assert isinstance(client, socket.socket)
        client.close()
    serve(server)


def how_it_ended(process: BaseProcess) -> str:
    """Return who ended and why, as far as the exit status tells."""
    code = process.exitcode or 0
    if code >= 0:
        why = f"with status {code}"
    elif -code in set(signal.Signals):
        why = f"by {signal.Signals(-code).name}"
    else:
        why = f"by signal {-code}"  # one of the real-time signals, most of which have no name
    return f"worker process {process.pid} was ended {why}"
