"""A server that does next to nothing: what arrives goes back.

It is the load engine's measuring stick. It has no limits, looks at lengths only where it has to
close after one message, and is not for use as a model. Run as
`python -m loadgen.servers.null_server FAMILY TRANSPORT TALK [--path FILE]`.
"""

import selectors
import socket
import sys

from concurrency_models.talk import GREETING, HEADER_SIZE, frame

# Of a datagram; as much as one can have.
_READ_BYTES = 65536
# Room for many small messages, or much of a large one, at once.
_BUFFER_BYTES = 1 << 18
_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6, "unix": socket.AF_UNIX}
_HOSTS = {"inet": "127.0.0.1", "inet6": "::1"}


def main(family: str, transport: str, talk: str, *place: str) -> None:
    """Echo on a free port of this machine until killed; prints "listening on HOST:PORT" first.

    `place` is ("--path", FILE) for a unix socket. `talk` says when to close: after a greeting,
    after one message, or not.
    """
    if family == "unix":
        address: tuple[str, int] | str = place[1]
    else:
        address = _HOSTS[family], 0
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(_FAMILIES[family], kind) as listener:
        listener.bind(address)
        bound = listener.getsockname()
        where = f"unix:{bound}" if family == "unix" else f"[{bound[0]}]:{bound[1]}"
        what = " for datagrams" if transport == "udp" else ""
        if transport == "tcp":
            listener.listen(4096)
        print(f"null server: listening on {where}{what}", flush=True)
        if transport == "udp":
            _return_datagrams(listener)
        elif talk == "greet":
            _greet(listener)
        else:
            _echo(listener, once=talk == "once")


def _return_datagrams(server: socket.socket) -> None:
    while True:
        data, client = server.recvfrom(_READ_BYTES)
        server.sendto(data, client)


def _greet(listener: socket.socket) -> None:
    greeting = frame("length", GREETING)
    while True:
        client, _ = listener.accept()
        with client:
            client.sendall(greeting)


def _echo(listener: socket.socket, once: bool) -> None:
    listener.setblocking(False)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    # One for all: each read is written before the next. Memory asked for anew each time would have
    # the ceiling for large messages measure malloc.
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    missing: dict[int, int] = {}
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                client, _ = listener.accept()
                if client.family != socket.AF_UNIX:
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(client, selectors.EVENT_READ, client)
                continue
            try:
                got = key.data.recv_into(buffer)
                # May wait for the client to read, which the engine always does.
                key.data.sendall(buffer[:got])
            except OSError:
                got = 0
            if once and got:
                size = HEADER_SIZE + int.from_bytes(buffer[:HEADER_SIZE], "big")
                missing[key.fd] = missing.get(key.fd, size) - got
            if not got or missing.get(key.fd) == 0:
                missing.pop(key.fd, None)
                selector.unregister(key.data)
                key.data.close()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(0)
