"""What a server was asked for, as data: where to listen, what to say, where its limits are."""

from dataclasses import dataclass, field
from typing import Final

from concurrency_models.talk import Terms

FAMILIES: Final = {"inet": "127.0.0.1", "inet6": "::1", "unix": ""}
"""Address families, each with the host where a server listens unless told otherwise."""

TRANSPORTS: Final = ("tcp", "udp")

POOL_THREADS: Final = 16
"""Threads in a pool, unless told otherwise."""

POOL_PROCESSES: Final = 8
"""Processes in a pool where each serves one client at a time, unless told otherwise."""


@dataclass(frozen=True)
class Settings:
    """Sizes in bytes, times in seconds, None for no limit.

    family: a key of `FAMILIES`. host, port: where to listen; path: the socket file, for `unix`.
    transport: one of `TRANSPORTS`; over a unix socket, `tcp` stands for its stream.
    backlog: connections that the kernel completes and queues before anyone accepts them.
    nodelay: send at once what could wait for more to go with it (TCP_NODELAY).
    idle_timeout: how long a client may stay silent, or leave its answers unread.
    message_timeout: how long it may take over one message, from its first bytes to its last.
    switch_interval: how long a thread may keep the GIL from another, None for Python's own 5 ms.
    grace: how long stopping may take. workers: the size of a pool, None for the model's own.
    verbose: print a line for each connection and message. trace: the file to write a trace to, ""
    for none.
    """

    family: str = "inet"
    host: str = FAMILIES["inet"]
    port: int = 8008
    path: str = ""
    transport: str = "tcp"
    backlog: int = 128
    nodelay: bool = True
    terms: Terms = field(default_factory=Terms)
    max_clients: int | None = None
    idle_timeout: float | None = None
    message_timeout: float | None = None
    switch_interval: float | None = None
    grace: float = 5.0
    workers: int | None = None
    verbose: bool = False
    trace: str = ""
