"""A locust user with a raw socket, for the comparison with a general load generator.

`locust -f` loads this file; the server's port comes in the environment.
"""

import os
import socket
import time

from locust import User, task

REQUEST = (64).to_bytes(4, "big") + bytes(64)


class EchoUser(User):  # type: ignore[misc]
    """Sends a message, waits for the reply, compares it, tells locust, and goes on at once."""

    def on_start(self) -> None:
        """Connect."""
        self.server = socket.create_connection(("127.0.0.1", int(os.environ["ECHO_PORT"])))

    @task  # type: ignore[untyped-decorator]
    def exchange(self) -> None:
        """One message and its reply."""
        started = time.perf_counter()
        self.server.sendall(REQUEST)
        reply = self.server.recv(65536)
        self.environment.events.request.fire(
            request_type="tcp",
            name="echo",
            response_time=(time.perf_counter() - started) * 1000,
            response_length=len(reply),
            exception=None if reply == REQUEST else ValueError("wrong reply"),
            context={},
        )
