"""Threads of a pool, on a machine that has few to give."""

import threading
from unittest.mock import create_autospec

from concurrency_models.pool import start_threads
from concurrency_models.server import Server
from concurrency_models.shortage import Shortage


def a_server() -> Server:
    server: Server = create_autospec(Server, instance=True)
    server.stopping = False
    server.shortage = Shortage(lambda _: None)
    return server


def threads_of_which(tries: list[bool]) -> list[threading.Thread]:
    """Threads whose starting fails, or not, in this order, whichever of them is tried."""

    class Scarce(threading.Thread):
        def start(self) -> None:
            if not tries.pop(0):
                raise RuntimeError("can't start new thread")

    return [Scarce() for _ in range(3)]


def test_there_are_fewer_threads_where_no_more_can_be_had() -> None:
    server = a_server()
    threads = threads_of_which([True, True, False])
    assert start_threads(server, threads) == threads[:2]
    assert server.shortage


def test_the_first_thread_is_waited_for() -> None:
    threads = threads_of_which([False, False, True, True, True])
    assert start_threads(a_server(), threads) == threads


def test_nobody_waits_for_a_thread_once_the_server_stops() -> None:
    server = a_server()

    def stop(_: str) -> None:
        server.stopping = True

    server.shortage = Shortage(stop)
    assert start_threads(server, threads_of_which([False])) == []
