"""One process accepts, and hands each connection to the worker process that has the fewest.

An open socket travels to another process as a control message on a unix socket (SCM_RIGHTS).
"""

import errno
import os
import socket
from contextlib import ExitStack
from typing import Any

from concurrency_models.accepting import Incoming
from concurrency_models.backends import selectors_loop
from concurrency_models.server import Server
from concurrency_models.workers import WorkerPool, count_cores, pool_size


class Inlet(socket.socket):
    """Where connections come out at a worker, whose event loop takes it for a listener."""

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection, as `socket.accept` would, but no address."""
        os.close(os.dup(self.fileno()))  # no descriptor is left? recv_fds would lose the client
        _, descriptors, _, _ = socket.recv_fds(self, 1, 1)
        if not descriptors:
            raise BlockingIOError  # the acceptor is gone, and the lifeline ends
        return socket.socket(fileno=descriptors[0]), None


def serve(server: Server) -> None:
    """Accept clients here and have them served by worker processes until the server stops."""
    size = pool_size(server.settings, count_cores())
    with ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(size)]
        for end in (end for pair in pairs for end in pair):
            stack.enter_context(end).setblocking(False)
        outlets, inlets = zip(*pairs, strict=True)
        pool = stack.enter_context(
            WorkerPool(
                server, selectors_loop.serve, inlets, listener_type=Inlet, tell_of_releases=True
            )
        )
        server.narration.verbose = False  # the worker that serves a client tells all of it
        handed = [0] * size

        def clients_of(worker: int) -> int:
            return handed[worker] - pool.ledger.released[worker]

        def hand_over(client: socket.socket) -> None:
            pool.fill()
            worker = min(range(size), key=clients_of)
            try:
                socket.send_fds(outlets[worker], [b"\0"], [client.fileno()])
            except BlockingIOError:
                raise OSError(errno.ETOOMANYREFS, "the workers take nobody") from None
            handed[worker] += 1

        def in_service() -> int:
            pool.fill()
            return sum(map(clients_of, range(size)))

        server.in_service = in_service
        incoming = Incoming(server)
        for client in incoming:
            incoming.begin(client, hand_over, client)
            server.release(client)
