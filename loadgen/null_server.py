"""A server that does next to nothing: what arrives goes back.

It is the load engine's measuring stick. It knows no framing and no limits, and is not for use as a
model.
"""

import os
import selectors
import socket
import sys

# Room for many small messages at once; os.read allocates what it is asked for.
_READ_BYTES = 65536


def main() -> None:
    """Echo on a free port of 127.0.0.1 until killed; prints "listening on HOST:PORT" first."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    clients: dict[int, socket.socket] = {}
    print(f"null server: listening on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                client, _ = listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                clients[client.fileno()] = client
                selector.register(client.fileno(), selectors.EVENT_READ)
                continue
            try:
                data = os.read(key.fd, _READ_BYTES)
                # May wait for the client to read, which the engine always does.
                os.write(key.fd, data)
            except OSError:
                data = b""
            if not data:
                selector.unregister(key.fd)
                clients.pop(key.fd).close()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
