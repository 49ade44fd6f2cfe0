"""A greenlet per client: blocking code, in which every call that would wait lets the others run.

Nothing is monkey-patched: the waiting is done by gevent's own sockets.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import gevent
import gevent.pool
import gevent.select
import gevent.socket

from concurrency_models.accepting import start_waiting
from concurrency_models.inbox import RECEIVE_SIZE
from concurrency_models.leaving import Leaving, Looks
from concurrency_models.server import Server


def serve(server: Server) -> None:
    """Serve every client in a greenlet of its own until the server stops."""
    looks = Looks(server)
    greenlets = gevent.pool.Group()
    greenlets.spawn(look_after, server, looks)
    gevent.sleep(0)
    server.ready()
    while not server.stopping:
        pause = server.pause_seconds()
        watched = [server.self_pipe, server.listener] if pause == 0 else [server.self_pipe]
        gevent.select.select(watched, [], [], pause or None)
        server.self_pipe.clear()
        start_waiting(server, lambda client: greenlets.spawn(talk, Leaving(server, client, looks)))
    server.close_listener()
    greenlets.join()


def talk(leaving: Leaving) -> None:
    """Hold one whole talk and release the client."""
    with leaving, green(leaving.client) as stream:
        with in_time(leaving):
            exchange(leaving, stream)
        if leaving.all_is_said():
            leaving.half_close()
            with in_time(leaving):
                while stream.recv(RECEIVE_SIZE):
                    pass


def exchange(leaving: Leaving, stream: gevent.socket.socket) -> None:
    """Answer every message until the talk is over or the client hangs up."""
    stream.sendall(leaving.talk.open())
    while not leaving.talk.over:
        leaving.listen()
        size = receive(leaving)
        leaving.heard()
        if not size:
            leaving.ending = "hung up"
            return
        # In no variable: while we wait, nothing holds on to the memory that it lies in.
        stream.sendall(leaving.talk.detached(leaving.talk.received(size)))
        while leaving.talk.more:
            gevent.sleep(0)  # it is the turn of others
            stream.sendall(leaving.talk.detached(leaving.talk.go_on()))


def receive(leaving: Leaving) -> int:
    """Receive what has come, as soon as any has; return how many bytes.

    Not by the stream: it would wait with the memory at hand, which greenlets share.
    """
    while True:
        gevent.socket.wait_read(leaving.client.fileno())
        with suppress(BlockingIOError):
            return leaving.client.recv_into(leaving.talk.room())


@contextmanager
def green(client: socket.socket) -> Iterator[gevent.socket.socket]:
    """Lend a client's descriptor to a socket of gevent's."""
    stream = gevent.socket.socket(fileno=client.fileno())
    try:
        yield stream
    finally:
        stream.detach()


class OutOfTimeError(Exception):
    """A talk's time is up."""


@contextmanager
def in_time(leaving: Leaving) -> Iterator[None]:
    """Leave the block when nobody should wait for the client any longer."""
    greenlet = gevent.getcurrent()
    leaving.break_off = lambda: greenlet.kill(OutOfTimeError, block=False)
    with suppress(OutOfTimeError):
        yield


def look_after(server: Server, looks: Looks) -> None:
    """Break off the talks whose time is up, until the server stops and all have left."""
    while server.clients or not server.stopping:
        gevent.sleep(looks.pause_seconds())
        looks.look()
