"""Callbacks on asyncio's event loop: the loop reads and writes, and says what has happened."""

import asyncio
import math
import socket
import time
from collections.abc import Callable
from typing import cast

from concurrency_models.asyncio_parts import Entrance
from concurrency_models.server import (
    DRAIN_SECONDS,
    POLL_SECONDS,
    RECEIVE_SIZE,
    Datagram,
    Server,
    is_readable,
    unconfirmed_size,
)


def serve(
    server: Server, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> None:
    """Serve all clients from one event loop until the server stops; None is asyncio's own loop."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        datagrams = server.settings.transport == "udp"
        runner.run(serve_datagrams(server) if datagrams else serve_clients(server))


async def serve_clients(server: Server) -> None:
    """Serve until the server stops and the last client has been released."""
    loop = asyncio.get_running_loop()
    protocols: set[TalkProtocol] = set()
    entrance = Entrance(server)
    async with asyncio.TaskGroup() as connecting:

        def connect(client: socket.socket) -> None:
            protocol = TalkProtocol(server, client, protocols)
            connecting.create_task(loop.connect_accepted_socket(lambda: protocol, client))

        await entrance.accept(connect)
    for protocol in list(protocols):
        protocol.stop()
    await entrance.wait_until_empty()


async def serve_datagrams(server: Server) -> None:
    """Answer datagrams until the server stops."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: DatagramProtocol(server), sock=server.listener
    )
    await Entrance(server).wait_for_stop()
    transport.close()


class DatagramProtocol(asyncio.DatagramProtocol):
    """Answers each datagram by itself."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        datagram = Datagram(data, address)
        self.server.admit(datagram)
        self.server.talk(datagram)


class TalkProtocol(asyncio.BufferedProtocol):
    """One client: its talk, and how long we wait for it.

    Buffered, so that the loop reads into memory of ours. For a plain `Protocol` it allocates 256
    KiB before each `recv`; where the C library hands that back to the kernel each time, which is a
    matter of chance, a message costs 2.5 times as much.

    While the loop holds anything unsent it pauses us, and we pause its reading: so what a client
    that does not read its answers can make us hold is bounded.
    """

    transport: asyncio.Transport
    buffer = bytearray(RECEIVE_SIZE)  # for all: filled and emptied within one turn of the loop

    def __init__(
        self, server: Server, client: socket.socket, protocols: "set[TalkProtocol]"
    ) -> None:
        self.server = server
        self.client = client
        self.protocols = protocols
        self.talk = server.new_talk(client)
        self.loop = asyncio.get_running_loop()
        self.paused = False
        self.leaving = False  # half-closed: what still comes in is discarded
        self.ending = "hung up"
        self.deadline = math.inf
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=0)
        self.protocols.add(self)
        self.send(self.talk.open())

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - the loop's wish: ours is fine
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if not self.leaving:
            self.send(self.talk.receive(bytes(memoryview(self.buffer)[:nbytes])))

    def send(self, data: bytes) -> None:
        self.grant_time(self.server.settings.idle_timeout)
        if data:
            self.transport.write(data)
        self.say_goodbye_if_done()

    def pause_writing(self) -> None:
        self.paused = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.paused = False
        self.transport.resume_reading()
        self.say_goodbye_if_done()

    def stop(self) -> None:
        """The server stops: answer what has arrived and, until the deadline, a message begun."""
        self.grant_time(math.inf)
        self.say_goodbye_if_done()

    def say_goodbye_if_done(self) -> None:
        """Half-close, once nothing is left to be sent or answered; the client is to hang up now."""
        if not (self.talk.over or self.server.stopping):
            return
        if self.paused or self.leaving or self.talk.mid_message:
            return
        if not self.talk.over and is_readable(self.client):
            return
        self.leaving = True
        self.transport.write_eof()
        self.grant_time(DRAIN_SECONDS)

    def grant_time(self, seconds: float | None) -> None:
        if seconds is not None:
            self.deadline = min(time.monotonic() + seconds, self.server.deadline)
            if self.timer is None or self.server.stopping or self.leaving:
                self.look_at_clock()

    def look_at_clock(self) -> None:
        """Part with the client if its time is up, else look again when it may be."""
        if self.timer is not None:
            self.timer.cancel()
        left = self.deadline - time.monotonic()
        if self.leaving and self.server.stopping:
            # The client may keep its end open for as long as it likes; what counts is that it has
            # everything.
            unsent = self.transport.get_write_buffer_size() or unconfirmed_size(self.client)
            left = min(left, POLL_SECONDS if unsent else 0)
        if left <= 0:
            self.ending = "was told goodbye" if self.leaving else "ran out of time"
            self.transport.abort()
        elif left < math.inf:
            self.timer = self.loop.call_later(left, self.look_at_clock)

    def connection_lost(self, error: Exception | None) -> None:
        """Leave; called once, whoever ended it. After EOF from the client, the loop does."""
        if self.timer is not None:
            self.timer.cancel()
        self.protocols.remove(self)
        self.server.narrate(self.client, f"was lost: {error}" if error else self.ending)
        self.loop.call_soon(self.server.release, self.client)  # the loop has to close it first
