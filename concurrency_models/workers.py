"""A fixed number of worker processes, each with a server of its own; one that dies is replaced.

What they count lies in memory that all share, so that it survives a worker that is killed.
"""

import ctypes
import multiprocessing
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Final, Self

from concurrency_models.lifeline import Lifeline
from concurrency_models.server import Client, Server
from concurrency_models.settings import Settings

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


def divide(clients: int | None, workers: int) -> list[int | None]:
    """Return how many clients each worker may serve so that together they serve `clients`."""
    if clients is None:
        return [None] * workers
    return [clients // workers + (number < clients % workers) for number in range(workers)]


class Ledger:
    """What workers count, each in a place of its own, so that nobody needs a lock."""

    def __init__(self, workers: int) -> None:
        self.accepted = multiprocessing.RawArray(ctypes.c_size_t, workers)
        self.released = multiprocessing.RawArray(ctypes.c_size_t, workers)
        self.last_warning = multiprocessing.RawValue(ctypes.c_double, 0.0)


class WorkerServer(Server):
    """The server of one worker: writes what it counts into the ledger."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        number: int,
        ledger: Ledger,
        bell: socket.socket | None,
    ) -> None:
        super().__init__(settings, listener)
        self._number = number
        self._ledger = ledger
        self._bell = bell

    def admit(self, client: Client) -> None:
        self._ledger.accepted[self._number] += 1
        super().admit(client)

    def release(self, client: Client) -> None:
        super().release(client)
        self._ledger.released[self._number] += 1
        if self._bell is not None:
            with suppress(OSError):  # full: the parent will look up; or gone: we shall be told
                self._bell.send(b"\0")

    def warn(self, text: str) -> None:
        # Once a second at most, whichever of the workers says it.
        if time.monotonic() - self._ledger.last_warning.value >= 1:
            self._ledger.last_warning.value = time.monotonic()
            super().warn(text)


@dataclass
class Worker:
    """One place in the pool, whichever process holds it."""

    number: int
    settings: Settings
    listener: socket.socket
    process: BaseProcess | None = None
    started: float = field(default=-RESTART_SECONDS)


class WorkerPool:
    """A context manager: workers run inside the block, at its end they have stopped.

    serve: what each worker does with its server, a function of a module. listeners: one for each
    worker, or the same one several times; the caller closes them. limits: how many clients each may
    serve at a time. listener_type: the kind of socket that a worker is to see its listener as.
    ring: whether to wake the parent's server whenever a worker has released a client.
    """

    def __init__(
        self,
        server: Server,
        serve: Callable[[Server], None],
        listeners: Sequence[socket.socket],
        limits: Sequence[int | None],
        *,
        listener_type: type[socket.socket] = socket.socket,
        ring: bool = False,
    ) -> None:
        self._server = server
        self._serve = serve
        self._listener_type = listener_type
        self._bell = server.wake_writer if ring else None
        self._lifeline = Lifeline(server)
        self.ledger = Ledger(len(listeners))
        self.workers = [
            Worker(number, replace(server.settings, max_clients=limit), listener)
            for number, (listener, limit) in enumerate(zip(listeners, limits, strict=True))
        ]

    def __enter__(self) -> Self:
        self._lifeline.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close_listener()
        self._lifeline.__exit__(kind, error, trace)
        self._server.accepted_by_worker = list(self.ledger.accepted)
        self._server.accepted = sum(self.ledger.accepted)

    def supervise(self) -> None:
        """Keep every worker running until the server stops."""
        with selectors.DefaultSelector() as bell:
            bell.register(self._server.wakeup, selectors.EVENT_READ)
            while not self._server.stopping:
                complete = self.fill()
                bell.select(None if complete else RESTART_SECONDS / 10)
                self._server.clear_wakeup()

    def fill(self) -> bool:
        """Start the workers that are not there; return whether all of them are now."""
        for worker in self.workers:
            if worker.process is not None and not worker.process.is_alive():
                self._server.warn(f"{how_it_ended(worker.process)}; another takes its place")
                worker.process = None
            due = time.monotonic() - worker.started >= RESTART_SECONDS
            if worker.process is None and due and not self._server.pause_seconds():
                self._start(worker)
        return all(worker.process for worker in self.workers)

    def _start(self, worker: Worker) -> None:
        worker.started = time.monotonic()
        try:
            process = multiprocessing.Process(
                target=run_worker,
                args=(
                    self._server, self._lifeline, self._serve, worker.settings,
                    self._listener_type, worker.listener, worker.number, self.ledger,
                    self._bell,
                ),
            )  # fmt: skip
            process.start()
        except OSError as error:
            self._server.pause_after(error)
        else:
            worker.process = process


def run_worker(
    parent: Server,
    lifeline: Lifeline,
    serve: Callable[[Server], None],
    settings: Settings,
    listener_type: type[socket.socket],
    listener: socket.socket,
    number: int,
    ledger: Ledger,
    bell: socket.socket | None,
) -> None:
    """Be a worker until the parent lets go of the lifeline; runs in the worker's process."""
    own = listener_type(fileno=listener.detach())
    own.setblocking(False)
    server = WorkerServer(settings, own, number, ledger, bell)
    lifeline.hold(server)
    parent.close_listener()  # or what our siblings listen to would stay open as long as we live
    serve(server)


def how_it_ended(process: BaseProcess) -> str:
    """Return who ended and why, as far as the exit status tells."""
    code = process.exitcode or 0
    why = f"with status {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
    return f"worker process {process.pid} was ended {why}"
