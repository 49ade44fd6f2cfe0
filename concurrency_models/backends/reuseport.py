"""An event loop per core, each with a listener of its own at the same port (SO_REUSEPORT).

The kernel deals clients out by a hash of their addresses: nobody has to choose, and nobody does,
so that one process may get far more of them than another.
"""

from concurrency_models.backends import selectors_loop
from concurrency_models.server import Server
from concurrency_models.workers import WorkerPool, count_cores, pool_size


def serve(server: Server) -> None:
    """Serve clients from an event loop in each of several processes until the server stops."""
    size = pool_size(server.settings, count_cores())
    # All opened here: those who wait at a listener are not lost when its worker dies.
    listeners = [server.listener, *(server.open_twin() for _ in range(1, size))]
    room = server.settings.max_clients
    with WorkerPool(server, selectors_loop.serve, listeners, room=room) as pool:
        pool.supervise()
