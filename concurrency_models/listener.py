"""The socket that clients come to: opened for any family and transport, and taken down again."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from concurrency_models.settings import Settings
from concurrency_models.systems import TELL_WHO_WAS_ASKED

SocketAddress = tuple[str, int] | tuple[str, int, int, int] | str
"""An address as the `socket` module has it: inet, inet6, or a path."""


def open_listener(settings: Settings, *, share_port: bool = False) -> socket.socket:
    """Return a non-blocking socket that listens where `settings` say.

    share_port: let several sockets listen on the port, and the kernel choose one for each client.
    The caller closes the socket.
    Raises OSError: socket.gaierror for a host that does not resolve, EADDRINUSE, EACCES and so on.
    """
    family, kind, address = resolve(settings)
    if family == socket.AF_UNIX:
        remove_leftover(settings.path)
    listener = socket.socket(family, kind)
    try:
        if family != socket.AF_UNIX and kind == socket.SOCK_STREAM:
            # A server that ended leaves its connections in TIME_WAIT for a minute, and without this
            # option the next one could not bind until then: "address already in use".
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if share_port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if kind == socket.SOCK_STREAM:
            set_nodelay(listener, settings)  # what it accepts inherits that
        else:
            listener.setsockopt(*TELL_WHO_WAS_ASKED[family], 1)  # it may listen at all addresses
        listener.bind(address)
        if kind == socket.SOCK_STREAM:
            listener.listen(settings.backlog)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def set_nodelay(connection: socket.socket, settings: Settings) -> None:
    """Have small sends go out at once, or not, as `settings` say; left alone, libraries differ."""
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, settings.nodelay)


def resolve(settings: Settings) -> tuple[socket.AddressFamily, socket.SocketKind, SocketAddress]:
    """Return family, kind and address of the socket that `settings` ask for."""
    kind = socket.SOCK_DGRAM if settings.transport == "udp" else socket.SOCK_STREAM
    if settings.family == "unix":
        return socket.AF_UNIX, kind, settings.path
    family = socket.AF_INET6 if settings.family == "inet6" else socket.AF_INET
    try:
        found = socket.getaddrinfo(settings.host, settings.port, family, kind)
    except UnicodeError as error:  # no name at all: 'a..b', or 64 letters without a dot
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from error
    # Without a protocol of its own for numbers only, getaddrinfo types the address loosely.
    return family, kind, found[0][4]  # type: ignore[return-value]


def remove_leftover(path: str) -> None:
    """Remove the socket file of a server that is no more, so that ours can take its place.

    Raises OSError: EADDRINUSE when a server listens there, EEXIST when the file is no socket: it
    belongs to somebody else and stays.
    """
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:  # nobody listens: what is left of a server that was killed
            os.unlink(path)
            return
        except BlockingIOError:  # its queue is full, so it is there
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)


@contextmanager
def listening(settings: Settings, *, share_port: bool = False) -> Iterator[socket.socket]:
    """Listen where `settings` say for as long as the block lasts; raises as `open_listener` does.

    A socket file is removed at the end, unless somebody has put another one in its place.
    """
    if share_port:
        # Another server that shares its port would share it with us, and nobody would notice.
        open_listener(settings).close()
    with open_listener(settings, share_port=share_port) as listener:
        file = settings.path if settings.family == "unix" else ""
        ours = file and file_identity(file)
        try:
            yield listener
        finally:
            if file and file_identity(file) == ours:
                os.unlink(file)


def file_identity(path: str) -> tuple[int, int] | None:
    """Return device and inode of a file, None where there is none."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def address_text(address: SocketAddress | bytes | None) -> str:
    """Return a socket address as people write it: `127.0.0.1:8008`, `[::1]:8008`, `unix:/path`."""
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"unix:{printable(os.fsdecode(address))}" if address else "unix"


def printable(text: str) -> str:
    """Return text with everything escaped that would not show as itself.

    A peer chooses the name of its socket, and could otherwise forge lines and terminal sequences.
    """
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )
