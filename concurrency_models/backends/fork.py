"""A process per client, as the standard library writes it: `socketserver.ForkingTCPServer`."""

import socketserver
import sys
from collections.abc import Collection
from typing import Any

from concurrency_models.accepting import Incoming
from concurrency_models.backends.socketserver_threads import SharedListener
from concurrency_models.lifeline import Lifeline
from concurrency_models.server import Server


class ForkingServer(SharedListener, socketserver.ForkingTCPServer):
    """Forks for each connection."""

    max_children = sys.maxsize  # as it comes, it stands still while there are 40 of them
    block_on_close = False  # the lifeline waits for them, and not longer than the grace

    def __init__(self, shared: Server) -> None:
        super().__init__(shared)
        self.lifeline = Lifeline(shared, self.children)

    def children(self) -> Collection[int]:
        """Reap the children that have ended and return the process ids of the others."""
        self.collect_children()
        return self.active_children or ()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Hold the talk; runs in the child."""
        self.lifeline.hold(self.shared)
        self.shared.close_listener()  # else the port stays taken when the parent is gone
        super().finish_request(request, client_address)


def serve(server: Server) -> None:
    """Serve every client in a process of its own until the server stops."""
    incoming = Incoming(server)
    with ForkingServer(server) as processes, processes.lifeline:
        for client in incoming:
            incoming.begin(client, processes.process_request, client, None)
            server.release(client)  # the child has a copy
