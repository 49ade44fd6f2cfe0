"""What the models on asyncio's event loops share: how clients are let in, and looked after."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from concurrency_models.accepting import start_waiting
from concurrency_models.leaving import Looks
from concurrency_models.server import Server
from concurrency_models.shortage import LET_GO


class Acceptor:
    """Accepts in place of `asyncio.start_server`.

    That one goes on trying at once when descriptors run out, knows no limit to the clients, and
    on newer Pythons `async with` it hangs when it is to stop while clients are connected.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._loop.add_reader(server.self_pipe, self._woken.set)
        self._loop.set_exception_handler(partial(complain, server))

    async def accept(self, start: Callable[[socket.socket], object]) -> None:
        """Call `start` with each client until the server stops."""

        def accept() -> None:
            start_waiting(self._server, start)
            if not self._server.may_accept():
                self._woken.set()

        self._server.ready()
        while not self._server.stopping:
            pause = self._server.pause_seconds()
            if pause == 0:
                self._loop.add_reader(self._server.listener, accept)
            else:  # one left waiting would make us spin
                self._loop.remove_reader(self._server.listener)
            await self._wake_up(pause or None)
        self._loop.remove_reader(self._server.listener)
        self._server.close_listener()

    async def wait_for_stop(self) -> None:
        """Return when the server stops."""
        self._server.ready()
        while not self._server.stopping:
            await self._wake_up(None)

    async def _wake_up(self, seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        self._woken.clear()
        self._server.self_pipe.clear()


def complain(server: Server, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say what is short in one line; asyncio would print a page."""
    error = context.get("exception")
    if isinstance(error, OSError):
        server.shortage.pause_after_accept(error)
    elif isinstance(error, MemoryError):  # of a connection, which the loop closes
        server.shortage.pause_after(error, LET_GO)
    elif server.shortage and "get_buffer()" in str(error):
        pass  # what uvloop says of it; what was short has been said
    # A pause of asyncio's that outlasts the listener ends in trying to watch it.
    elif not (server.stopping and isinstance(error, ValueError)):
        loop.default_exception_handler(context)


async def look_after(server: Server, looks: Looks) -> None:
    """Break off the talks whose time is up, until the server stops and all have left."""
    while server.clients or not server.stopping:
        await asyncio.sleep(looks.pause_seconds())
        looks.look()
