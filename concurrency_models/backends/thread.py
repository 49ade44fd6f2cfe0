"""A thread per client: each blocks in its own talk while the others go on."""

import threading
from collections.abc import Callable

from concurrency_models.accepting import Incoming, IncomingDatagrams
from concurrency_models.blocking import talk
from concurrency_models.datagrams import answer
from concurrency_models.server import Server


def serve(server: Server) -> None:
    """Serve every client in a thread of its own until the server stops."""
    incoming = Incoming(server)
    for client in incoming:
        incoming.begin(client, start_thread, talk, server, client)


def serve_datagrams(server: Server) -> None:
    """Answer every datagram in a thread of its own until the server stops."""
    incoming = IncomingDatagrams(server)
    for datagram in incoming:
        incoming.begin(datagram, start_thread, answer, server, datagram)


def start_thread(target: Callable[..., None], *arguments: object) -> None:
    """Start a thread: a new one at each try, as one that failed to start never will (3.13)."""
    # A daemon: at the end of the grace the program does not wait for it.
    threading.Thread(target=target, args=arguments, daemon=True).start()
