"""A pool of threads, as the standard library has it: `concurrent.futures.ThreadPoolExecutor`."""

from concurrent.futures import ThreadPoolExecutor

from concurrency_models.accepting import Incoming
from concurrency_models.blocking import talk
from concurrency_models.server import Server
from concurrency_models.settings import POOL_THREADS


def serve(server: Server) -> None:
    """Serve each client in a thread of the pool, as soon as one is free, until the server stops."""
    size = server.settings.workers or POOL_THREADS
    server.limit_clients(size)  # without a free thread, clients wait where the kernel queues them
    with ThreadPoolExecutor(size) as pool:
        for client in Incoming(server):
            try:
                pool.submit(talk, server, client)
            except RuntimeError as error:  # no further thread to be had: one of the others does it
                server.shortage.pause_after(error)
