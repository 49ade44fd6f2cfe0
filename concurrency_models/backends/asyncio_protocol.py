"""Callbacks on asyncio's event loop: the loop reads and writes, and says what has happened."""

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from concurrency_models.accepting import receive_waiting
from concurrency_models.asyncio_acceptor import Acceptor, look_after
from concurrency_models.datagrams import answer
from concurrency_models.leaving import Leaving, Looks
from concurrency_models.listener import set_nodelay
from concurrency_models.server import Server
from concurrency_models.shortage import LET_GO

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def serve(server: Server, loop_factory: LoopFactory | None = None) -> None:
    """Serve all clients from one event loop until the server stops; None is asyncio's own loop."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve_clients(server))


def serve_datagrams(server: Server, loop_factory: LoopFactory | None = None) -> None:
    """Answer all datagrams from one event loop until the server stops."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(answer_datagrams(server))


async def serve_clients(server: Server) -> None:
    """Serve until the server stops and the last client has been released."""
    looks = Looks(server)
    protocols: set[TalkProtocol] = set()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(look_after(server, looks))

        def connect(client: socket.socket) -> None:
            protocol = TalkProtocol(Leaving(server, client, looks), protocols)
            tasks.create_task(protocol.connect(client))

        await Acceptor(server).accept(connect)
        for protocol in list(protocols):
            protocol.say_goodbye_if_done()


async def answer_datagrams(server: Server) -> None:
    """Answer until the server stops."""

    def answer_waiting() -> None:
        for datagram in receive_waiting(server):
            answer(server, datagram)

    # An `asyncio.DatagramProtocol` is not told which of our addresses was asked.
    loop = asyncio.get_running_loop()
    loop.add_reader(server.listener, answer_waiting)
    await Acceptor(server).wait_for_stop()
    loop.remove_reader(server.listener)


class TalkProtocol(asyncio.BufferedProtocol):
    """One client: its talk, and what the loop has to tell of it.

    Buffered, so that the loop reads into memory of the talk's. For a plain `Protocol` it allocates
    256 KiB before each `recv`; where the C library hands that back to the kernel each time, which
    is a matter of chance, a message costs 2.5 times as much.

    While the loop holds anything unsent it pauses us, and we pause its reading: that is
    backpressure, and bounds what a client that does not read its answers can make us hold.
    """

    transport: asyncio.Transport

    def __init__(self, leaving: Leaving, protocols: "set[TalkProtocol]") -> None:
        self.leaving = leaving
        self.talk = leaving.talk
        self.protocols = protocols
        self.paused = False

    async def connect(self, client: socket.socket) -> None:
        """Have the loop read and write for a client that was accepted."""
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: self, client)
        except MemoryError as error:
            self.leaving.let_go(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=0)
        set_nodelay(self.leaving.client, self.leaving.server.settings)  # uvloop turns it on
        self.leaving.break_off = self.transport.abort
        self.protocols.add(self)
        self.send(self.talk.open())

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop's wish: ours is fine
        try:
            return self.talk.room()
        except MemoryError as error:  # uvloop, which ends the connection, would not say why
            self.leaving.server.shortage.pause_after(error, LET_GO)
            raise

    def buffer_updated(self, nbytes: int) -> None:
        self.leaving.moves += 1
        if not self.leaving.half_closed:
            self.send(self.talk.received(nbytes))

    def send(self, reply: bytes | memoryview) -> None:
        if reply:
            self.transport.write(self.talk.detached(reply))  # the loop keeps what it cannot send
        if self.talk.more and not self.paused:
            self.transport.pause_reading()
            asyncio.get_running_loop().call_soon(self.go_on)
        self.say_goodbye_if_done()

    def go_on(self) -> None:
        """Send the next replies, now that others had their turn; then read on."""
        if self.transport.is_closing():
            return
        try:
            if self.talk.more:
                self.send(self.talk.go_on())
        except MemoryError:  # from here, it does not end the connection
            self.transport.abort()
            raise
        if not (self.talk.more or self.paused):
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        self.paused = True
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.paused = False
        self.go_on()
        self.say_goodbye_if_done()

    def say_goodbye_if_done(self) -> None:
        """Half-close, once nothing is left to be sent or answered; the client is to hang up now."""
        if not (self.paused or self.leaving.half_closed) and self.leaving.all_is_said():
            self.leaving.half_close()

    def eof_received(self) -> None:
        """The client hung up; the loop closes the transport once all is sent."""
        if not self.leaving.half_closed:
            self.leaving.ending = "hung up"

    def connection_lost(self, error: Exception | None) -> None:
        """Leave; called once, whoever ended it. After EOF from the client, the loop does."""
        self.protocols.remove(self)
        ending = f"was lost: {error}" if error else None
        # The loop has to close the socket first.
        asyncio.get_running_loop().call_soon(self.leaving.release, ending)
