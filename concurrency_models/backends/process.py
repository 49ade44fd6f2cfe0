"""A process per client: nothing is shared, so nobody computes at another's expense."""

import multiprocessing
import socket

from concurrency_models.accepting import Incoming
from concurrency_models.blocking import talk
from concurrency_models.lifeline import Lifeline
from concurrency_models.server import Server


def serve(server: Server) -> None:
    """Serve every client in a process of its own until the server stops."""
    incoming = Incoming(server)
    with Lifeline(server) as lifeline:
        for client in incoming:
            arguments = server, client, lifeline
            process = multiprocessing.Process(target=talk_in_child, args=arguments)
            incoming.begin(client, lifeline.start, process)
            # The child has a copy; as long as ours is open, the connection stays open too.
            server.release(client)
            del process  # or its descriptors would stay until the next client comes


def talk_in_child(server: Server, client: socket.socket, lifeline: Lifeline) -> None:
    """Hold one talk; runs in the child, with the child's own copies of all three."""
    lifeline.hold(server)
    server.close_listener()  # else the port stays taken when the parent is gone
    talk(server, client)
