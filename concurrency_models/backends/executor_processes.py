"""A pool of processes, as the standard library has it: `concurrent.futures.ProcessPoolExecutor`.

A call goes to whichever worker is free, with copies of its arguments. A connection cannot be copied
like that: it travels beside its call, through a socket that all workers receive from. When a worker
dies the library gives up the whole pool, with the talks of all its workers.
"""

import os
import signal
import socket
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from concurrency_models.accepting import Incoming
from concurrency_models.blocking import talk
from concurrency_models.lifeline import Lifeline
from concurrency_models.server import Server
from concurrency_models.settings import POOL_PROCESSES
from concurrency_models.workers import pool_size


def serve(server: Server) -> None:
    """Serve each client in a process of the pool, once one is free, until the server stops."""
    size = pool_size(server.settings, POOL_PROCESSES)
    server.limit_clients(size)  # without a free process, clients wait where the kernel queues them
    with Lifeline(server) as lifeline:
        pool = Pool(server, lifeline, size)
        server.in_service = lambda: len(pool.talks)
        incoming = Incoming(server)
        for client in incoming:
            incoming.begin(client, pool.hand_over, client)
            server.release(client)  # a worker has a copy
        pool.executor.shutdown(wait=False)  # the lifeline waits, and not longer than the grace
    # All processes have ended, and so do the library's threads. At exit it would wake them, each by
    # a pipe that it may be closing just then (CPython 3.11: "Bad file descriptor").
    for thread in threading.enumerate():
        if not (thread.daemon or thread is threading.main_thread()):
            thread.join()


class Pool:
    """An executor that is replaced when it breaks, the socket beside it, and its talks."""

    def __init__(self, server: Server, lifeline: Lifeline, size: int) -> None:
        self.server, self.lifeline, self.size = server, lifeline, size
        self.talks: set[Future[None]] = set()
        self.start()

    def start(self) -> None:
        """Start all of its processes."""
        self.outlet, inlet = socket.socketpair()
        self.executor = ProcessPoolExecutor(
            self.size, initializer=become_worker, initargs=(self.server, self.lifeline, inlet)
        )
        self.executor.submit(os.getpid).result()

    def hand_over(self, client: socket.socket) -> None:
        """Have a worker hold the talk."""
        try:
            talk = self.submit(client)
        except BrokenProcessPool:
            self.server.warn("a worker process was ended, and its pool with it; a new pool starts")
            self.start()
            talk = self.submit(client)
        self.talks.add(talk)
        talk.add_done_callback(self.leave)

    def submit(self, client: socket.socket) -> Future[None]:
        socket.send_fds(self.outlet, [b"\0"], [client.fileno()])
        return self.executor.submit(talk_in_worker)

    def leave(self, talk: Future[None]) -> None:
        self.talks.discard(talk)
        self.server.self_pipe.wake()


def become_worker(server: Server, lifeline: Lifeline, inlet: socket.socket) -> None:
    """Prepare a process of the pool; runs in each of them before its first call."""
    global worker_server, worker_inlet
    worker_server, worker_inlet = server, inlet
    for client in list(server.clients):  # one that the parent has at hand, if any
        assert isinstance(client, socket.socket)
        server.release(client)
    lifeline.hold(server)
    server.close_listener()
    signal.signal(signal.SIGTERM, lambda *_: stop_worker())
    if server.stopping:
        stop_worker()


def talk_in_worker() -> None:
    """Hold one talk; runs in the worker that has taken the call."""
    _, [descriptor], _, _ = socket.recv_fds(worker_inlet, 1, 1)
    client = socket.socket(fileno=descriptor)
    worker_server.admit(client)
    talk(worker_server, client)
    if worker_server.stopping:
        stop_worker()


def stop_worker() -> None:
    """End, as soon as the talk has: who waits for calls would not see its parent die."""
    worker_server.stop()
    if not worker_server.clients:
        os._exit(0)


worker_server: Server
worker_inlet: socket.socket
