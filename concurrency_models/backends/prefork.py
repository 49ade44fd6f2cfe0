"""Processes started before the clients come: all accept at one listener, each serves one client."""

from concurrency_models.backends import iterative
from concurrency_models.server import Server
from concurrency_models.settings import POOL_PROCESSES
from concurrency_models.workers import WorkerPool, pool_size


def serve(server: Server) -> None:
    """Serve clients in a fixed number of processes until the server stops."""
    size = pool_size(server.settings, POOL_PROCESSES)
    with WorkerPool(server, iterative.serve, [server.listener] * size) as pool:
        pool.supervise()
