"""What the kernel counts of one TCP connection."""

import socket
import struct
import sys
from typing import Final

# linux/tcp.h, struct tcp_info: where tcpi_bytes_sent and tcpi_bytes_retrans stand (Linux 4.19).
_SENT_AND_SENT_AGAIN: Final = struct.Struct("=QQ")
_SENT_AT: Final = 200


def bytes_sent(sock: socket.socket) -> int | None:
    """How many bytes of data the kernel sent on a TCP connection; None where it does not say."""
    if not sys.platform.startswith("linux") or sock.family == socket.AF_UNIX:
        return None
    if sock.type != socket.SOCK_STREAM:
        return None
    length = _SENT_AT + _SENT_AND_SENT_AGAIN.size
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, length)
    except OSError:
        return None
    if len(info) < length:  # an older kernel
        return None
    sent, again = _SENT_AND_SENT_AGAIN.unpack_from(info, _SENT_AT)
    return int(sent - again)
