"""A thread per client, as the standard library writes it: `socketserver.ThreadingTCPServer`."""

import socketserver

from concurrency_models.server import Server


class TalkHandler(socketserver.BaseRequestHandler):
    """Handles one connection, which is what `socketserver` calls a request."""

    server: "TalkServer"

    def handle(self) -> None:
        """Hold the conversation; runs in the thread that `ThreadingMixIn` has started."""
        self.server.shared.talk(self.request)


class TalkServer(socketserver.ThreadingTCPServer):
    """A `ThreadingTCPServer` on a listener that is already there."""

    daemon_threads = True  # at the end of the grace the program does not wait for them

    def __init__(self, shared: Server) -> None:
        super().__init__(shared.listener.getsockname(), TalkHandler, bind_and_activate=False)
        self.socket.close()  # the one it made itself; ours is bound and listens
        self.socket = shared.listener
        self.shared = shared


def serve(server: Server) -> None:
    """Serve every client in a thread of its own until the server stops."""
    with TalkServer(server) as talk_server:
        # In place of serve_forever(), which tries again at once when descriptors run out, in
        # silence and with all of a core, and looks for its end only twice a second.
        server.serve_clients(lambda client: talk_server.process_request(client, None))
