"""A bounded pool of threads: no more of them than were planned for, and the other clients wait."""

from functools import partial

from concurrency_models.pool import ThreadPool
from concurrency_models.server import Server
from concurrency_models.settings import POOL_THREADS


def serve(server: Server) -> None:
    """Serve each client in a thread of the pool, as soon as one is free, until the server stops."""
    size = server.settings.workers or POOL_THREADS
    pool = ThreadPool(size)
    server.limit_clients(size)  # without a free thread, newcomers wait where the kernel queues them
    server.serve_clients(lambda client: pool.submit(partial(server.talk, client)))
