"""A process per client: nothing is shared, so nobody computes at another's expense."""

import multiprocessing

from concurrency_models.lifeline import Lifeline
from concurrency_models.server import Client, Server


def serve(server: Server) -> None:
    """Serve every client in a process of its own until the server stops."""
    with Lifeline(server) as lifeline:

        def start(client: Client) -> None:
            arguments = server, lifeline, client
            lifeline.start(multiprocessing.Process(target=talk_in_child, args=arguments))
            # The child has a copy; as long as ours is open, the connection stays open too.
            server.release(client)

        server.serve_clients(start, in_service=lifeline.count_children)


def talk_in_child(server: Server, lifeline: Lifeline, client: Client) -> None:
    """Hold one conversation; runs in the child, with the child's own copies of all three."""
    lifeline.hold(server)
    server.close_listener()  # else the port stays taken when the parent is gone
    server.talk(client)
