"""A thread per client: each blocks in its own conversation while the others go on."""

import threading

from concurrency_models.server import Client, Server


def serve(server: Server) -> None:
    """Serve every client in a thread of its own until the server stops."""

    def start(client: Client) -> None:
        # A daemon: at the end of the grace the program does not wait for it.
        threading.Thread(target=server.talk, args=(client,), daemon=True).start()

    server.serve_clients(start)
