"""An event loop that leaves the answers to a pool of threads: what takes long holds up nobody else.

While a client's messages are being answered, nothing more is read from it: one thread at a time has
its talk, and its answers keep their order.
"""

import socket
import time
from collections import deque
from functools import partial

from concurrency_models.backends.selectors_loop import Connection, Loop
from concurrency_models.inbox import Scratch
from concurrency_models.pool import ThreadPool
from concurrency_models.server import Server
from concurrency_models.settings import POOL_THREADS


def serve(server: Server) -> None:
    """Serve all clients from one event loop and a pool of threads until the server stops."""
    PoolLoop(server).run()


class PoolLoop(Loop):
    """An event loop to which threads return what it gave them to do."""

    def __init__(self, server: Server) -> None:
        super().__init__(server)
        # While a thread makes one client's reply, the loop receives for others.
        self.looks.scratch = Scratch(len(server.settings.terms.reply_prefix), shared=False)
        self.pool = ThreadPool(server.settings.workers or POOL_THREADS)
        self.answered: deque[tuple[PoolConnection, bytes | memoryview | MemoryError]] = deque()

    def connect(self, client: socket.socket) -> None:
        PoolConnection(self, client)

    def wake_up(self) -> None:
        super().wake_up()
        while self.answered:
            connection, reply = self.answered.popleft()
            connection.finish(reply)


class PoolConnection(Connection):
    """A client whose messages are answered by a thread of the pool."""

    loop: PoolLoop

    def __init__(self, loop: PoolLoop, client: socket.socket) -> None:
        self.in_pool = False
        super().__init__(loop, client)

    def receive(self) -> None:
        if not self.in_pool:
            super().receive()

    def take(self, size: int) -> None:
        try:
            self.loop.pool.submit(partial(self.work, size))
        except RuntimeError as error:  # no thread to be had: then the loop does it, and all wait
            self.loop.server.shortage.pause_after(error)
            super().take(size)
        else:
            self.in_pool = self.leaving.waits_for_us = self.talk.inbox.in_use = True
            self.watch(0)

    def work(self, size: int) -> None:
        """Answer messages; runs in a thread of the pool and touches nothing but the talk."""
        reply: bytes | memoryview | MemoryError
        try:
            reply = self.talk.received(size)
        except MemoryError as error:
            reply = error
        self.loop.answered.append((self, reply))
        self.loop.server.self_pipe.wake()

    def finish(self, reply: bytes | memoryview | MemoryError) -> None:
        self.in_pool = self.leaving.waits_for_us = self.talk.inbox.in_use = False
        if self.leaving.released:
            return
        try:
            if isinstance(reply, MemoryError):
                raise reply
            self.answer(reply)
            if self.leaving.is_over(time.monotonic()):  # a look may find it in the pool every time
                self.close()
        except MemoryError as error:
            self.let_go(error)

    def say_goodbye(self) -> None:
        if not self.in_pool:
            super().say_goodbye()
