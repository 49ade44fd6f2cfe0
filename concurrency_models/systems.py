"""What Linux and macOS do differently with sockets, in one place; BSDs do as macOS does.

Only Linux was tried. The rules for macOS follow its manual pages and its kernel's source (XNU), and
each is tested where it can be: with a socket that behaves so, on whatever system the tests run.
"""

import fcntl
import socket
import struct
import sys
import termios
from contextlib import suppress
from typing import Final

IS_LINUX: Final = sys.platform == "linux"

ACCEPTED_INHERIT: Final = not IS_LINUX
"""Whether an accepted socket is non-blocking because its listener is."""

LONGEST_PATH: Final = 107 if IS_LINUX else 103
"""How many bytes a socket file's path may have: `sun_path` of sockaddr_un less the final zero."""

IP_PKTINFO: Final = 8 if IS_LINUX else 26
"""<linux/in.h> and <netinet/in.h>; the socket module has a name for it from Python 3.14 on."""

TELL_WHO_WAS_ASKED: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, IP_PKTINFO),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO),
}
"""By family, the option that has each datagram come with the address that it was sent to."""

BYTES_ACKED: Final = 120
"""<linux/tcp.h>: where `tcpi_bytes_acked` stands in a tcp_info, 8 bytes, from Linux 4.1 on."""

SO_NWRITE: Final = 0x1024
"""macOS, <sys/socket.h>: a socket option, the bytes that we sent and that are not confirmed."""


def shut_rd_discards(family: int) -> bool:
    """Whether what arrives after `shutdown(SHUT_RD)` is lost.

    Over TCP Linux keeps it, and only lets a `recv` that would wait return at once. Over a unix
    socket the sender fails everywhere.
    """
    return not IS_LINUX or family == socket.AF_UNIX


def unconfirmed_size(client: socket.socket) -> int:
    """Return how many bytes we sent that the other end's kernel has not confirmed."""
    try:
        if not IS_LINUX:
            return client.getsockopt(socket.SOL_SOCKET, SO_NWRITE)
        queued = bytearray(4)
        fcntl.ioctl(client, termios.TIOCOUTQ, queued)  # SIOCOUTQ of tcp(7): the same number
    except (OSError, ValueError):  # it is lost, or an event loop has closed it
        return 0
    return int.from_bytes(queued, sys.byteorder)


def confirmed(client: socket.socket) -> int:
    """Return a number that changes whenever the other end's kernel has confirmed bytes of ours.

    How many are unconfirmed would not do where there is better: while a large reply is sent to a
    slow reader, we fill up the queue to the same size again and again.
    """
    if IS_LINUX and client.family != socket.AF_UNIX:
        with suppress(OSError, struct.error):
            told = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_ACKED + 8)
            return int(struct.unpack_from("@Q", told, BYTES_ACKED)[0])
    return -unconfirmed_size(client)
