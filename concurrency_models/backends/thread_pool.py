"""A bounded pool of threads: no more of them than were planned for, and the other clients wait."""

from functools import partial

from concurrency_models.accepting import Incoming
from concurrency_models.blocking import talk
from concurrency_models.pool import ThreadPool
from concurrency_models.server import Server
from concurrency_models.settings import POOL_THREADS


def serve(server: Server) -> None:
    """Serve each client in a thread of the pool, as soon as one is free, until the server stops."""
    serve_in_threads(server, server.settings.workers or POOL_THREADS)


def serve_in_threads(server: Server, size: int) -> None:
    """Serve in so many threads."""
    pool = ThreadPool(size)
    server.limit_clients(size)  # without a free thread, clients wait where the kernel queues them
    incoming = Incoming(server)
    for client in incoming:
        incoming.begin(client, pool.submit, partial(talk, server, client))
