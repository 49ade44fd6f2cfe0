"""A thread per client, as the standard library writes it: `socketserver.ThreadingTCPServer`."""

import socketserver
from typing import Any

from concurrency_models.server import Server


class TalkHandler(socketserver.BaseRequestHandler):
    """Serves one connection, which is what `socketserver` calls a request."""

    def handle(self) -> None:
        """Hold the conversation; runs in the thread that `ThreadingMixIn` has started."""
        self.server.shared.talk(self.request)  # type: ignore[attr-defined]


class SharedListener(socketserver.TCPServer):
    """Puts the listener that every model is handed in the place of one made by `socketserver`."""

    daemon_threads = True  # at the end of the grace the program does not wait for them

    def __init__(self, shared: Server) -> None:
        address: Any = shared.listener.getsockname()
        super().__init__(address, TalkHandler, bind_and_activate=False)
        self.socket.close()
        self.socket = shared.listener
        self.shared = shared


class StreamServer(SharedListener, socketserver.ThreadingTCPServer):
    """Starts a thread for each connection."""


class DatagramServer(SharedListener, socketserver.ThreadingUDPServer):
    """Starts a thread for each datagram."""


def serve(server: Server) -> None:
    """Serve every client in a thread of its own until the server stops."""
    kind = DatagramServer if server.settings.transport == "udp" else StreamServer
    with kind(server) as threads:
        # In place of serve_forever(), which tries again at once when descriptors run out, in
        # silence and with all of a core, and looks for its end only twice a second.
        server.serve_clients(lambda client: threads.process_request(client, None))
