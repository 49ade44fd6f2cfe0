"""A coroutine per client: reads like a blocking talk, and lets the others run at each await.

Streams can't receive into memory that one keeps: what `recv` returns is copied into the reader's
buffer, out of it again by `read`, and then into the talk's. All of that is asked for anew each time
and given back, so the pieces are kept small enough for the C library to have them at hand.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from concurrency_models.asyncio_acceptor import Acceptor, look_after
from concurrency_models.inbox import RECEIVE_SIZE
from concurrency_models.leaving import Leaving, Looks
from concurrency_models.server import Server


def serve(server: Server) -> None:
    """Serve every client in a coroutine of its own until the server stops."""
    asyncio.run(serve_clients(server))


async def serve_clients(server: Server) -> None:
    """Serve until the server stops and the last talk has ended."""
    looks = Looks(server)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(look_after(server, looks))
        await Acceptor(server).accept(
            lambda client: tasks.create_task(talk(Leaving(server, client, looks)))
        )


async def talk(leaving: Leaving) -> None:
    """Hold one whole talk and release the client."""
    with leaving:
        reader, writer = await asyncio.open_connection(sock=leaving.client, limit=RECEIVE_SIZE)
        # What each recv() asks for: 256 KiB else, which the kernel maps and clears every time. The
        # attribute is not in asyncio's manual, so `asyncio-server` does without.
        writer.transport.max_size = RECEIVE_SIZE  # type: ignore[attr-defined]
        await converse(leaving, reader, writer)


async def converse(
    leaving: Leaving, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Hold one whole talk over asyncio's streams."""
    writer.transport.set_write_buffer_limits(high=0)  # drain() returns when all is sent
    try:
        async with in_time(leaving):
            await exchange(leaving, reader, writer)
        if leaving.all_is_said():
            leaving.half_close()
            async with in_time(leaving):
                while await reader.read(RECEIVE_SIZE):
                    pass
    finally:
        writer.transport.abort()


async def exchange(
    leaving: Leaving, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer every message until the talk is over or the client hangs up."""
    writer.write(leaving.talk.open())
    await writer.drain()
    while not leaving.talk.over:
        leaving.listen()
        data = await reader.read(RECEIVE_SIZE)
        leaving.heard()
        if not data:
            leaving.ending = "hung up"
            return
        await send(writer, leaving.talk.detached(leaving.talk.receive(data)))
        while leaving.talk.more:
            await asyncio.sleep(0)  # it is the turn of others
            await send(writer, leaving.talk.detached(leaving.talk.go_on()))


async def send(writer: asyncio.StreamWriter, reply: memoryview) -> None:
    """Send a reply in pieces: of what cannot go out at once, the library makes a copy."""
    for start in range(0, len(reply), RECEIVE_SIZE):
        writer.write(reply[start : start + RECEIVE_SIZE])
        await writer.drain()


@asynccontextmanager
async def in_time(leaving: Leaving) -> AsyncIterator[None]:
    """Leave the block when nobody should wait for the client any longer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as timeout:

            def break_off() -> None:
                if not timeout.expired():
                    timeout.reschedule(0)

            leaving.break_off = break_off
            yield
