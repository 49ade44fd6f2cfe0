"""A coroutine per client: reads like a blocking talk, and lets the others run at each await."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from concurrency_models.asyncio_parts import Entrance
from concurrency_models.conversation import Conversation, Conversations
from concurrency_models.server import POLL_SECONDS, RECEIVE_SIZE, Server, unconfirmed_size


def serve(server: Server) -> None:
    """Serve every client in a coroutine of its own until the server stops."""
    asyncio.run(serve_clients(server))


async def serve_clients(server: Server) -> None:
    """Serve until the server stops and the last conversation has ended."""
    conversations = Conversations(server)
    async with asyncio.TaskGroup() as tasks:
        clock = tasks.create_task(keep_time(conversations))
        await Entrance(server).accept(
            lambda client: tasks.create_task(converse(conversations, client))
        )
        clock.cancel()
        await keep_time(conversations)


async def converse(conversations: Conversations, client: socket.socket) -> None:
    """Hold one whole conversation and release the client."""
    with Conversation(conversations, client) as conversation:
        reader, writer = await asyncio.open_connection(sock=client, limit=RECEIVE_SIZE)
        writer.transport.set_write_buffer_limits(high=0)  # drain() returns when all is sent
        talk = conversation.talk
        try:
            async with in_time(conversation):
                conversation.send()
                writer.write(talk.open())
                await writer.drain()
                while not talk.over:
                    conversation.listen()
                    data = await reader.read(RECEIVE_SIZE)
                    if not data:
                        conversation.ending = "hung up"
                        return
                    conversation.send()
                    writer.write(talk.receive(data))
                    await writer.drain()
            async with in_time(conversation):
                conversation.leave()
                while not conversation.server.stopping and await reader.read(RECEIVE_SIZE):
                    pass
                while unconfirmed_size(client):
                    await asyncio.sleep(POLL_SECONDS)
        finally:
            writer.transport.abort()


@asynccontextmanager
async def in_time(conversation: Conversation) -> AsyncIterator[None]:
    """Leave the block when the conversation's time is up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as timeout:

            def cancel() -> None:
                if not timeout.expired():
                    timeout.reschedule(0)

            conversation.cancel = cancel
            yield


async def keep_time(conversations: Conversations) -> None:
    """Break off the conversations whose time is up."""
    while seconds := conversations.next_sweep():
        await asyncio.sleep(seconds)
        conversations.sweep()
