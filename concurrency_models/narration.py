"""What `-v` prints: a line for each connection and message, with who serves it."""

import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from concurrency_models.inbox import Scratch
from concurrency_models.listener import address_text
from concurrency_models.talk import Talk, Terms, take_talk


class NarratedTalk(Talk):
    """A talk that prints a line for each message, as a beginner's `print` would."""

    in_place = False

    def __init__(
        self, terms: Terms, narrate: Callable[[str], None], scratch: Scratch | None
    ) -> None:
        super().__init__(terms, scratch)
        self._narrate = narrate

    def answer(self, message: bytes) -> bytes:
        shown = (
            repr(message) if len(message) <= 60 else f"{message[:50]!r}... ({len(message)} bytes)"
        )
        self._narrate(f"says {shown}")
        return super().answer(message)

    def refuse(self, size: int, header: bytes) -> bytes:
        said = super().refuse(size, header)
        self._narrate(f"is refused: {said.decode()}")
        return said


class Narration:
    """Tells what clients do, if verbose; otherwise costs next to nothing."""

    def __init__(self, verbose: bool) -> None:
        self.verbose = verbose
        self.listens = verbose
        """Whether it has to be told who came and left; else nobody need call it, which counts
        where clients come and go."""
        self._names: dict[socket.socket, str] = {}  # of those of whom something was told

    def tell(self, client: socket.socket | str, text: str) -> None:
        """Print what a client did, and in which process and thread it is served."""
        if self.verbose:
            name = client if isinstance(client, str) else self._name_of(client)
            who = f"process {os.getpid()}, {threading.current_thread().name}"
            say(f"{clock()} [{who}] {name} {text}")

    def begin(self, model: str) -> None:
        """The server of that model is about to serve. Raises OSError where it cannot be told of."""

    def finish(self, accepted: int) -> None:
        """It has served, so many clients in all."""

    def connected(self, client: socket.socket) -> None:
        """A client was accepted."""
        self.tell(client, "connected")

    def forget(self, client: socket.socket) -> None:
        """Keep nothing of a client that has left."""
        self._names.pop(client, None)

    def new_talk(
        self, terms: Terms, client: socket.socket | str, scratch: Scratch | None = None
    ) -> Talk:
        """Return a talk with the client, which is told of if verbose."""
        if not self.verbose:
            return take_talk(terms, scratch)
        name = client if isinstance(client, str) else self._name_of(client)
        return NarratedTalk(terms, lambda text: self.tell(name, text), scratch)

    def _name_of(self, client: socket.socket) -> str:
        """Return the address of the other end as text, noted while there was one."""
        if client not in self._names:
            self._names[client] = peer_name(client)
        return self._names[client]


def clock() -> str:
    """Return the time of day to the millisecond."""
    now = time.time()
    return f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03}"


def peer_name(client: socket.socket) -> str:
    """Return the address of the other end as text, also when it has already gone.

    The client of a socket file has none: it goes by its process, where the system tells, and by
    the number of our socket, which is the same in every process that has the connection.
    """
    try:
        address = client.getpeername()
    except OSError:
        return "(gone)"
    if address or client.family != socket.AF_UNIX:
        return address_text(address)
    name = f"unix client {os.fstat(client.fileno()).st_ino}"
    if not hasattr(socket, "SO_PEERCRED"):
        return name
    pid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    return f"{name} (process {pid})"


def say(text: str) -> None:
    """Print a line; where nobody reads on, as after `| head`, that is no reason to stop serving."""
    try:
        sys.stdout.write(f"{text}\n")  # print() writes the end by itself: others would come between
        sys.stdout.flush()
    except BrokenPipeError:
        with suppress(OSError):  # what was not written would be tried again, and fail, at the end
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
