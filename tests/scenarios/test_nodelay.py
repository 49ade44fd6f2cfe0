"""TCP_NODELAY is on, or off, for every model alike, whatever its library does by itself."""

import ctypes
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.clients import Client, answer
from tests.servers import SUBJECTS, ServerProcess, Subject, serving

PIDFD_GETFD = 438
"""The number of the system call that copies a descriptor of another process, pidfd_getfd(2)."""


def copies(client: Client, server: ServerProcess) -> list[socket.socket]:
    """Return copies of the server's sockets at the other end of a client's connection."""
    found = []
    for process in server.processes():
        pidfd = os.pidfd_open(process.pid)
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(FileNotFoundError):  # closed since
                if descriptor.readlink().name.startswith("socket:"):
                    found += copied(pidfd, int(descriptor.name))
        os.close(pidfd)
    ours = client.socket.getsockname()
    for end in found:
        if peer_of(end) != ours:
            end.close()
    return [end for end in found if end.fileno() >= 0]


def copied(pidfd: int, descriptor: int) -> list[socket.socket]:
    copy = ctypes.CDLL(None).syscall(PIDFD_GETFD, pidfd, descriptor, 0)
    return [socket.socket(fileno=copy)] if copy >= 0 else []


def peer_of(end: socket.socket) -> object:
    with suppress(OSError):  # not connected
        return end.getpeername()
    return None


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="takes sockets from another process"
)
@pytest.mark.parametrize(("nodelay", "family"), [("on", "inet"), ("off", "inet6")])
@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_nodelay(subject: Subject, nodelay: str, family: str) -> None:
    options = ("--nodelay", nodelay, "--family", family)
    with serving(*subject.arguments, *options) as server, Client(server.address) as client:
        assert client.ask(b"hello") == answer(b"hello")
        ends = copies(client, server)
        assert ends
        for end in ends:
            with end:
                assert bool(end.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) == (
                    nodelay == "on"
                )
