"""Starts a server where sockets behave as on macOS, as far as that can be had elsewhere.

Put before a server's command line. Accepted sockets are non-blocking as their listener is, and
`shutdown(SHUT_RD)` throws away what arrives later. With `--rules-of-linux` in front, the server is
not told.
"""

import os
import runpy
import socket
import sys
import weakref
from typing import Any

from concurrency_models import systems

arguments = sys.argv[1:]
told = arguments[0] != "--rules-of-linux"
systems.ACCEPTED_INHERIT = told  # type: ignore[misc]
systems.shut_rd_discards = lambda family: told  # noqa: ARG005

accept = socket.socket.accept
shutdown = socket.socket.shutdown
recv_into = socket.socket.recv_into
discarding: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def accept_as_there(self: socket.socket) -> tuple[socket.socket, Any]:
    """Let the new socket block if the listener does."""
    client, address = accept(self)
    os.set_blocking(client.fileno(), self.gettimeout() is None)
    return client, address


def shutdown_as_there(self: socket.socket, how: int) -> None:
    """Note that what arrives from now on is lost."""
    if how != socket.SHUT_WR:
        discarding.add(self)
    shutdown(self, how)


def receive_as_there(self: socket.socket, *into: Any) -> int:
    """Receive, and find nothing once the reading side is shut."""
    size = recv_into(self, *into)
    return 0 if self in discarding else size


for name, there in {
    "accept": accept_as_there,
    "shutdown": shutdown_as_there,
    "recv_into": receive_as_there,
}.items():
    setattr(socket.socket, name, there)

sys.argv = arguments[arguments.index("-m") + 1 :]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
