"""Over UDP there are no connections: one socket takes all messages, each answered by itself."""

from concurrency_models.listener import address_text
from concurrency_models.server import Datagram, Server


def answer(server: Server, datagram: Datagram) -> None:
    """Send the answer to one datagram; where that cannot be, it is lost, as datagrams may be."""
    name = address_text(datagram.address)
    reply = server.narration.new_talk(server.settings.terms, name).receive_datagram(datagram.data)
    try:
        server.listener.sendto(reply, datagram.address)
    except OSError as error:  # no room, or no way there
        server.narration.tell(name, f"was not answered: {error.strerror}")
    finally:
        server.answered(datagram)
