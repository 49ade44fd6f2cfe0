"""The self-pipe trick (D. J. Bernstein): whoever waits for sockets also waits for one of our own.

A byte written to it from a signal handler, another thread or another process ends the wait.
"""

import socket
from contextlib import suppress
from typing import Final

POLL_SECONDS: Final = 0.01
"""How often to look where nothing can wake us: at a socket whose receiving side is shut, say."""


class SelfPipe:
    """A pair of connected sockets: readable, for those who wait on it, from `wake` to `clear`."""

    def __init__(self) -> None:
        self._reader, self.writer = socket.socketpair()
        """`writer` may be sent to another process, which wakes this one by sending a byte."""
        self._reader.setblocking(False)
        self.writer.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._reader.fileno()

    def wake(self) -> None:
        """Make it readable; safe in a signal handler and in any thread."""
        with suppress(BlockingIOError):  # full: it is readable already
            self.writer.send(b"\0")

    def clear(self) -> None:
        """Make it unreadable until the next `wake`."""
        with suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass
