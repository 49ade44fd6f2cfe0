"""A greenlet per client: blocking code, in which every call that would wait lets the others run.

Nothing is monkey-patched: the waiting is done by gevent's own sockets.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import gevent
import gevent.pool
import gevent.select
import gevent.socket

from concurrency_models.conversation import Conversation, Conversations
from concurrency_models.server import POLL_SECONDS, RECEIVE_SIZE, Server, unconfirmed_size


def serve(server: Server) -> None:
    """Serve every client in a greenlet of its own until the server stops."""
    conversations = Conversations(server)
    greenlets = gevent.pool.Group()
    clock = gevent.spawn(keep_time, conversations)
    gevent.sleep(0)
    server.on_ready()
    while not server.stopping:
        watched = [server.wakeup, server.listener] if server.may_accept() else [server.wakeup]
        gevent.select.select(watched, [], [], server.pause_seconds() or None)
        server.clear_wakeup()
        for client in server.accept_waiting():
            greenlets.spawn(converse, conversations, client)
    server.close_listener()
    clock.kill()
    keep_time(conversations)
    greenlets.join()


def converse(conversations: Conversations, client: socket.socket) -> None:
    """Hold one whole conversation and release the client."""
    with Conversation(conversations, client) as conversation, green(client) as stream:
        talk = conversation.talk
        with in_time(conversation):
            conversation.send()
            stream.sendall(talk.open())
            while not talk.over:
                conversation.listen()
                data = stream.recv(RECEIVE_SIZE)
                if not data:
                    conversation.ending = "hung up"
                    return
                conversation.send()
                stream.sendall(talk.receive(data))
        with in_time(conversation):
            conversation.leave()
            while not conversation.server.stopping and stream.recv(RECEIVE_SIZE):
                pass
            while unconfirmed_size(client):
                gevent.sleep(POLL_SECONDS)


@contextmanager
def green(client: socket.socket) -> Iterator[gevent.socket.socket]:
    """Lend a client's descriptor to a socket of gevent's."""
    stream = gevent.socket.socket(fileno=client.fileno())
    try:
        yield stream
    finally:
        stream.detach()


class OutOfTimeError(Exception):
    """A conversation's time is up."""


@contextmanager
def in_time(conversation: Conversation) -> Iterator[None]:
    """Leave the block when the conversation's time is up."""
    greenlet = gevent.getcurrent()
    conversation.cancel = lambda: greenlet.kill(OutOfTimeError, block=False)
    with suppress(OutOfTimeError):
        yield


def keep_time(conversations: Conversations) -> None:
    """Break off the conversations whose time is up."""
    while seconds := conversations.next_sweep():
        gevent.sleep(seconds)
        conversations.sweep()
