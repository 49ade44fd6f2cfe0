"""Threads that each accept: all wait at one listener, each serves one client at a time."""

import threading

from concurrency_models.accepting import Incoming
from concurrency_models.blocking import talk
from concurrency_models.pool import start_threads
from concurrency_models.server import Server
from concurrency_models.settings import POOL_THREADS


def serve(server: Server) -> None:
    """Serve clients in a fixed number of threads until the server stops."""
    size = server.settings.workers or POOL_THREADS
    incoming = Incoming(server)
    # Daemons: at the end of the grace the program does not wait for them.
    threads = [
        threading.Thread(target=serve_in_thread, args=(server, incoming), daemon=True)
        for _ in range(size)
    ]
    for thread in start_threads(server, threads):
        thread.join()


def serve_in_thread(server: Server, incoming: Incoming) -> None:
    """Accept a client, talk, accept the next; runs in each of the threads."""
    for client in incoming:
        talk(server, client)
