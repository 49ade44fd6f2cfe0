"""A trio task per client: a nursery waits for all of them, a scope can cancel what one is at."""

import math
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from concurrency_models.conversation import Conversation, Conversations
from concurrency_models.server import POLL_SECONDS, RECEIVE_SIZE, Server, unconfirmed_size


def serve(server: Server) -> None:
    """Serve every client in a task of its own until the server stops."""
    signal.set_wakeup_fd(-1)  # trio sets one of its own and warns where there is another
    trio.run(serve_clients, server)


async def serve_clients(server: Server) -> None:
    """Serve until the server stops and the last conversation has ended."""
    conversations = Conversations(server)
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as entrance:
            waiting = trio.CancelScope()

            async def accept() -> None:
                nonlocal waiting
                while True:
                    with trio.CancelScope() as waiting:
                        if server.may_accept():
                            await trio.lowlevel.wait_readable(server.listener)
                        else:
                            await trio.sleep(server.pause_seconds() or math.inf)
                    for client in server.accept_waiting():
                        nursery.start_soon(converse, conversations, client)

            entrance.start_soon(accept)
            entrance.start_soon(keep_time, conversations)
            server.on_ready()
            while not server.stopping:
                await trio.lowlevel.wait_readable(server.wakeup)
                server.clear_wakeup()
                waiting.cancel()  # there may be room now
            entrance.cancel_scope.cancel()
        server.close_listener()
        await keep_time(conversations)


async def converse(conversations: Conversations, client: socket.socket) -> None:
    """Hold one whole conversation and release the client."""
    with Conversation(conversations, client) as conversation:
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(client))
        talk = conversation.talk
        with in_time(conversation):
            conversation.send()
            await stream.send_all(talk.open())
            while not talk.over:
                conversation.listen()
                data = await stream.receive_some(RECEIVE_SIZE)
                if not data:
                    conversation.ending = "hung up"
                    return
                conversation.send()
                await stream.send_all(talk.receive(data))
        with in_time(conversation):
            conversation.leave()
            while not conversation.server.stopping and await stream.receive_some(RECEIVE_SIZE):
                pass
            while unconfirmed_size(client):
                await trio.sleep(POLL_SECONDS)


@contextmanager
def in_time(conversation: Conversation) -> Iterator[None]:
    """Leave the block when the conversation's time is up."""
    with trio.CancelScope() as scope:
        conversation.cancel = scope.cancel
        yield


async def keep_time(conversations: Conversations) -> None:
    """Break off the conversations whose time is up."""
    while seconds := conversations.next_sweep():
        await trio.sleep(seconds)
        conversations.sweep()
