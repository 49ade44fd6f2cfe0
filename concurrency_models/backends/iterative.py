"""One client at a time: nobody else is served until the one being served hangs up."""

from concurrency_models.accepting import Incoming, IncomingDatagrams
from concurrency_models.blocking import talk
from concurrency_models.datagrams import answer
from concurrency_models.server import Server


def serve(server: Server) -> None:
    """Serve clients one after another until the server stops."""
    for client in Incoming(server):
        talk(server, client)


def serve_datagrams(server: Server) -> None:
    """Answer datagrams one after another until the server stops."""
    for datagram in IncomingDatagrams(server):
        answer(server, datagram)
