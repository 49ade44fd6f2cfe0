"""Processes started before the clients come: all block in accept() at one listener.

Each serves one client at a time. The kernel gives every client to one of those that wait.
"""

from concurrency_models.accepting import BlockingIncoming
from concurrency_models.blocking import talk
from concurrency_models.server import Server
from concurrency_models.settings import POOL_PROCESSES
from concurrency_models.workers import WorkerPool, pool_size


def serve(server: Server) -> None:
    """Serve clients in a fixed number of processes until the server stops."""
    size = pool_size(server.settings, POOL_PROCESSES)
    with WorkerPool(server, serve_in_worker, [server.listener] * size) as pool:
        pool.supervise()


def serve_in_worker(server: Server) -> None:
    """Accept a client, talk, accept the next; runs in each of the processes."""
    for client in BlockingIncoming(server):
        talk(server, client)
