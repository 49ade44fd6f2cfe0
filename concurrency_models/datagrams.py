"""Over UDP there are no connections: one socket takes all messages, each answered by itself."""

import socket
from typing import Final

from concurrency_models.inbox import RECEIVE_SIZE
from concurrency_models.listener import address_text
from concurrency_models.server import Datagram, Server

IN_PKTINFO_SIZE: Final = 12
"""Bytes of an in_pktinfo; an in6_pktinfo has 20."""

ANCILLARY_SIZE: Final = socket.CMSG_SPACE(20)


def receive_datagram(listener: socket.socket) -> Datagram:
    """Receive what waits; raises BlockingIOError where nothing does."""
    data, ancillary, _, address = listener.recvmsg(RECEIVE_SIZE, ANCILLARY_SIZE)
    asked = tuple((level, kind, of_any_interface(told)) for level, kind, told in ancillary)
    return Datagram(data, address, asked)


def of_any_interface(told: bytes) -> bytes:
    """Return in_pktinfo or in6_pktinfo without its interface, which would choose the route."""
    if len(told) == IN_PKTINFO_SIZE:  # the index, then two addresses of 4 bytes
        return bytes(4) + told[4:]
    return told[:16] + bytes(4)  # an address of 16, then the index


def answer(server: Server, datagram: Datagram) -> None:
    """Send the answer to one datagram; where that cannot be, it is lost, as datagrams may be.

    It leaves from the address that was asked, and not from whichever is first of those on the way:
    a client that knows no other would not take it.
    """
    name = address_text(datagram.address)
    reply = server.narration.new_talk(server.settings.terms, name).receive_datagram(datagram.data)
    try:
        server.listener.sendmsg([reply], datagram.asked, 0, datagram.address)
    except OSError as error:  # no room, or no way there
        server.narration.tell(name, f"was not answered: {error.strerror}")
    finally:
        server.answered(datagram)
