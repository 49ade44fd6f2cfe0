"""A thread per client, as the standard library writes it: `socketserver.ThreadingTCPServer`."""

import socketserver
from typing import Any

from concurrency_models.accepting import Incoming, IncomingDatagrams
from concurrency_models.blocking import talk
from concurrency_models.datagrams import answer
from concurrency_models.server import Server


class TalkHandler(socketserver.BaseRequestHandler):
    """Serves one connection, which is what `socketserver` calls a request."""

    def handle(self) -> None:
        """Hold the talk; runs in the thread that `ThreadingMixIn` has started."""
        talk(self.server.shared, self.request)  # type: ignore[attr-defined]


class DatagramHandler(socketserver.BaseRequestHandler):
    """Serves one datagram."""

    def handle(self) -> None:
        """Answer it; runs in a thread of its own."""
        answer(self.server.shared, self.request)  # type: ignore[attr-defined]


class SharedListener(socketserver.TCPServer):
    """Puts the listener that every model is handed in the place of one made by `socketserver`."""

    handler: type[socketserver.BaseRequestHandler] = TalkHandler
    daemon_threads = True  # at the end of the grace the program does not wait for them

    def __init__(self, shared: Server) -> None:
        address: Any = shared.listener.getsockname()
        super().__init__(address, self.handler, bind_and_activate=False)
        self.socket.close()
        self.socket = shared.listener
        self.shared = shared


class StreamServer(SharedListener, socketserver.ThreadingTCPServer):
    """Starts a thread for each connection."""


class DatagramServer(SharedListener, socketserver.ThreadingUDPServer):
    """Starts a thread for each datagram."""

    handler = DatagramHandler


def serve(server: Server) -> None:
    """Serve every client in a thread of its own until the server stops."""
    incoming = Incoming(server)
    with StreamServer(server) as threads:
        # In place of serve_forever(), which tries again at once when descriptors run out, in
        # silence and with all of a core, and looks for its end only twice a second.
        for client in incoming:
            incoming.begin(client, threads.process_request, client, None)


def serve_datagrams(server: Server) -> None:
    """Answer every datagram in a thread of its own until the server stops."""
    incoming = IncomingDatagrams(server)
    with DatagramServer(server) as threads:
        for datagram in incoming:
            incoming.begin(datagram, threads.process_request, datagram, None)  # type: ignore[arg-type]
