"""A thread per client: each blocks in its own conversation while the others go on."""

import threading

from concurrency_models.accepting import Incoming, IncomingDatagrams
from concurrency_models.blocking import talk
from concurrency_models.datagrams import answer
from concurrency_models.server import Server


def serve(server: Server) -> None:
    """Serve every client in a thread of its own until the server stops."""
    incoming = Incoming(server)
    for client in incoming:
        # A daemon: at the end of the grace the program does not wait for it.
        thread = threading.Thread(target=talk, args=(server, client), daemon=True)
        incoming.begin(client, thread.start)


def serve_datagrams(server: Server) -> None:
    """Answer every datagram in a thread of its own until the server stops."""
    incoming = IncomingDatagrams(server)
    for datagram in incoming:
        thread = threading.Thread(target=answer, args=(server, datagram), daemon=True)
        incoming.begin(datagram, thread.start)
