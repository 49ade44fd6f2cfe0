"""A trio task per client: a nursery waits for all of them, a scope can cancel what one is at."""

import math
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from concurrency_models.accepting import start_waiting
from concurrency_models.inbox import RECEIVE_SIZE
from concurrency_models.leaving import Leaving, Looks
from concurrency_models.listener import set_nodelay
from concurrency_models.server import Server


def serve(server: Server) -> None:
    """Serve every client in a task of its own until the server stops."""
    signal.set_wakeup_fd(-1)  # trio sets one of its own and warns where there is another
    trio.run(serve_clients, server)


async def serve_clients(server: Server) -> None:
    """Serve until the server stops and the last talk has ended."""
    looks = Looks(server)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(look_after, server, looks)
        async with trio.open_nursery() as acceptor:
            waiting = trio.CancelScope()

            def start(client: socket.socket) -> None:
                nursery.start_soon(talk, Leaving(server, client, looks))

            async def accept() -> None:
                nonlocal waiting
                while True:
                    with trio.CancelScope() as waiting:
                        pause = server.pause_seconds()
                        if pause == 0:
                            await trio.lowlevel.wait_readable(server.listener)
                        else:
                            await trio.sleep(pause or math.inf)
                    start_waiting(server, start)

            acceptor.start_soon(accept)
            server.ready()
            while not server.stopping:
                await trio.lowlevel.wait_readable(server.self_pipe)
                server.self_pipe.clear()
                waiting.cancel()  # there may be room now
            acceptor.cancel_scope.cancel()
        server.close_listener()


async def talk(leaving: Leaving) -> None:
    """Hold one whole talk and release the client."""
    with leaving:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(leaving.client))
        set_nodelay(leaving.client, leaving.server.settings)  # or it would always be on
        with in_time(leaving):
            await exchange(leaving, stream)
        if leaving.all_is_said():
            leaving.half_close()
            with in_time(leaving):
                while await stream.receive_some(RECEIVE_SIZE):
                    pass


async def exchange(leaving: Leaving, stream: trio.SocketStream) -> None:
    """Answer every message until the talk is over or the client hangs up."""
    await stream.send_all(leaving.talk.open())
    while not leaving.talk.over:
        leaving.listen()
        size = await receive(leaving)
        leaving.heard()
        if not size:
            leaving.ending = "hung up"
            return
        # In no variable: while we wait, nothing holds on to the memory that it lies in.
        await stream.send_all(leaving.talk.detached(leaving.talk.received(size)))
        while leaving.talk.more:
            await stream.send_all(leaving.talk.detached(leaving.talk.go_on()))


async def receive(leaving: Leaving) -> int:
    """Receive what has come, as soon as any has; return how many bytes.

    Not by the stream: it would let other tasks run in between, which share the memory.
    """
    while True:
        try:
            return leaving.client.recv_into(leaving.talk.room())
        except BlockingIOError:
            await trio.lowlevel.wait_readable(leaving.client)


@contextmanager
def in_time(leaving: Leaving) -> Iterator[None]:
    """Leave the block when nobody should wait for the client any longer."""
    with trio.CancelScope() as scope:
        leaving.break_off = scope.cancel
        yield


async def look_after(server: Server, looks: Looks) -> None:
    """Break off the talks whose time is up, until the server stops and all have left."""
    while server.clients or not server.stopping:
        await trio.sleep(looks.pause_seconds())
        looks.look()
