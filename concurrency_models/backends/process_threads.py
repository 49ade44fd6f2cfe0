"""Processes with a pool of threads each, as gunicorn's worker `gthread` has it."""

from concurrency_models.backends import thread_pool
from concurrency_models.server import Server
from concurrency_models.settings import POOL_PROCESSES, POOL_THREADS
from concurrency_models.workers import WorkerPool, pool_size


def serve(server: Server) -> None:
    """Serve clients from a fixed number of processes until the server stops."""
    size = pool_size(server.settings, POOL_PROCESSES)
    room = server.settings.max_clients
    with WorkerPool(server, serve_in_worker, [server.listener] * size, room=room) as pool:
        pool.supervise()


def serve_in_worker(server: Server) -> None:
    """Serve clients in a pool of threads; runs in each of the processes."""
    thread_pool.serve_in_threads(server, POOL_THREADS)
