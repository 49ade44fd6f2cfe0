"""What the models on asyncio's event loops share: newcomers let in as there is room for them."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

from concurrency_models.server import Server


class Entrance:
    """Accepts in place of `asyncio.start_server`.

    That one goes on trying at once when descriptors run out, knows no limit to the clients, and
    on newer Pythons `async with` it hangs when it is to stop while clients are connected.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._look_up = asyncio.Event()
        self._loop.add_reader(server.wakeup, self._look_up.set)

    async def accept(self, start: Callable[[socket.socket], object]) -> None:
        """Call `start` with each newcomer until the server stops."""

        def accept_waiting() -> None:
            for client in self._server.accept_waiting():
                start(client)
            if not self._server.may_accept():
                self._look_up.set()

        self._server.on_ready()
        while not self._server.stopping:
            if self._server.may_accept():
                self._loop.add_reader(self._server.listener, accept_waiting)
            else:  # one left waiting would make us spin
                self._loop.remove_reader(self._server.listener)
            await self._wake_up(self._server.pause_seconds() or None)
        self._loop.remove_reader(self._server.listener)
        self._server.close_listener()

    async def wait_for_stop(self) -> None:
        """Return when the server stops."""
        self._server.on_ready()
        while not self._server.stopping:
            await self._wake_up(None)

    async def wait_until_empty(self) -> None:
        """Return when the last client has been released."""
        while self._server.clients:
            await self._wake_up(None)

    async def _wake_up(self, seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._look_up.wait()
        self._look_up.clear()
        self._server.clear_wakeup()
