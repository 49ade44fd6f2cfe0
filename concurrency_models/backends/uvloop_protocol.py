"""The protocol of asyncio-protocol on an event loop written in C: libuv, as Node.js has it."""

import uvloop

from concurrency_models.backends import asyncio_protocol
from concurrency_models.server import Server


def serve(server: Server) -> None:
    """Serve all clients from one event loop until the server stops."""
    asyncio_protocol.serve(server, uvloop.new_event_loop)


def serve_datagrams(server: Server) -> None:
    """Answer all datagrams from one event loop until the server stops."""
    asyncio_protocol.serve_datagrams(server, uvloop.new_event_loop)
