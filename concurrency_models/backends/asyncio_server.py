"""A coroutine per client, as asyncio's documentation writes it: `asyncio.start_server`.

It knows no limit to the clients: those over `--max-clients` are let in, and wait in here. Out of
descriptors, it tries again a second later.
"""

import asyncio
import socket
import sys
import time
from typing import Any

from concurrency_models.asyncio_acceptor import Acceptor, look_after
from concurrency_models.backends.asyncio_streams import converse
from concurrency_models.inbox import RECEIVE_SIZE
from concurrency_models.leaving import Leaving, Looks
from concurrency_models.listener import set_nodelay
from concurrency_models.server import Server


def serve(server: Server) -> None:
    """Serve every client in a coroutine of its own until the server stops."""
    asyncio.run(serve_clients(server))


async def serve_clients(server: Server) -> None:
    """Serve until the server stops and the last talk has ended."""
    looks = Looks(server)
    listener = Listener(server)
    room = asyncio.Semaphore(server.settings.max_clients or sys.maxsize)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = listener.accepted.pop(writer.get_extra_info("socket").fileno())
        has_to_wait = room.locked()
        async with room:
            with Leaving(server, client, looks) as leaving:
                set_nodelay(client, server.settings)  # asyncio turns it on
                if not (has_to_wait and server.stopping):
                    await converse(leaving, reader, writer)
                writer.transport.abort()

    acceptor = Acceptor(server)
    service = await asyncio.start_server(
        handle, sock=listener, backlog=server.settings.backlog, limit=RECEIVE_SIZE
    )
    looking = asyncio.create_task(look_after(server, looks))
    await acceptor.wait_for_stop()
    # Closed at once, it would drop whom it has just let in, and tell nobody.
    asyncio.get_running_loop().remove_reader(listener)
    while listener.accepted and time.monotonic() < server.deadline:
        await asyncio.sleep(0)
    service.close()
    await looking


class Listener(socket.socket):
    """Counts clients in and keeps their sockets: a handler is shown a stand-in, which can do less.

    accepted: those whose handler has not begun, by their descriptor.
    """

    def __init__(self, server: Server) -> None:
        super().__init__(fileno=server.listener.detach())
        self.server = server
        self.accepted: dict[int, socket.socket] = {}

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept as any socket does; asyncio calls it."""
        client, address = super().accept()
        self.server.admit(client)
        self.server.narration.connected(client)
        self.accepted[client.fileno()] = client
        return client, address
