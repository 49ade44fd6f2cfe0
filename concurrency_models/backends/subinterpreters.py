"""An event loop per core, all in one process: each interpreter has objects and a GIL of its own.

Descriptors belong to the process and are the same to all of them, so that a connection is handed
over by its number.
"""

import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import cycle
from typing import Any

from concurrency_models.accepting import Incoming
from concurrency_models.backends import selectors_loop
from concurrency_models.server import Server
from concurrency_models.settings import Settings
from concurrency_models.workers import count_cores, pool_size

assert sys.version_info >= (3, 14)
from concurrent import interpreters  # noqa: E402 - type checkers for older versions stop above

NUMBER_SIZE = 4
"""Bytes that the number of a descriptor takes in a pipe."""


def serve(server: Server) -> None:
    """Accept clients here and have them served by other interpreters until the server stops."""
    reports, report_to = os.pipe()
    outlets = []
    workers = []
    for _ in range(pool_size(server.settings, count_cores())):
        inlet, outlet = os.pipe()
        outlets.append(outlet)
        worker = interpreters.create()
        worker.exec(f"import sys; sys.path[:] = {sys.path!r}")
        thread = worker.call_in_thread(
            run_worker, server.settings, inlet, report_to, server.self_pipe.writer.fileno()
        )
        workers.append((worker, thread))
        os.read(reports, 1)  # it is ready
    server.narration.verbose = False  # the worker that serves a client tells all of it
    os.set_blocking(reports, False)
    handed = [0] * len(outlets)
    released = 0
    turns = cycle(range(len(outlets)))

    def hand_over(client: socket.socket) -> None:
        turn = next(turns)
        server.clients.remove(client)
        os.write(outlets[turn], client.detach().to_bytes(NUMBER_SIZE))
        handed[turn] += 1

    def in_service() -> int:
        nonlocal released
        with suppress(BlockingIOError):
            while reported := os.read(reports, 4096):
                released += len(reported)
        return sum(handed) - released

    server.in_service = in_service
    incoming = Incoming(server)
    for client in incoming:
        incoming.begin(client, hand_over, client)
    for outlet in outlets:
        os.close(outlet)  # the workers see the end of their pipe, and stop
    for worker, thread in workers:
        thread.join()  # by itself, at the deadline: nobody can kill an interpreter
        worker.close()
    server.accepted_by_worker = handed


def run_worker(settings: Settings, inlet: int, reports: int, wake_parent: int) -> None:
    """Serve whoever comes through the inlet until it ends; runs in an interpreter of its own."""
    listener: Any = Inlet(inlet)
    server = WorkerServer(replace(settings, max_clients=None), listener)
    server.report_to = (reports, wake_parent)
    server.when_ready(server.report)
    listener.on_end = server.stop
    selectors_loop.serve(server)


class Inlet:
    """Where connections come out at a worker, whose event loop takes it for a listener."""

    on_end: Callable[[], None]

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)

    def fileno(self) -> int:
        """Return the descriptor to watch."""
        return self._descriptor

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection, as `socket.accept` would, but no address."""
        number = os.read(self._descriptor, NUMBER_SIZE)
        if not number:
            self.on_end()
            raise BlockingIOError
        return socket.socket(fileno=int.from_bytes(number)), None

    def close(self) -> None:
        """Close the worker's end; again, to no effect, as with a socket."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class WorkerServer(Server):
    """The server of one interpreter: tells the main one of each client that it has released."""

    report_to: tuple[int, int]

    def report(self) -> None:
        """Send a byte, and wake the main interpreter to read it."""
        for descriptor in self.report_to:
            with suppress(BlockingIOError):  # awake already
                os.write(descriptor, b"\0")

    def release(self, client: socket.socket) -> None:
        super().release(client)
        self.report()
