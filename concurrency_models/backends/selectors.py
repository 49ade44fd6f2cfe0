"""One thread for all clients: wait until some socket is ready, do what cannot block, wait again."""

import selectors
import socket
import time
from contextlib import suppress
from selectors import EVENT_READ, EVENT_WRITE

from concurrency_models.server import (
    DRAIN_SECONDS,
    RECEIVE_SIZE,
    Server,
    is_readable,
    unconfirmed_size,
)

SWEEP_SECONDS = 0.1
"""How often to look for clients whose time is up, while there can be any."""


def serve(server: Server) -> None:
    """Serve all clients from one event loop until the server stops."""
    with selectors.DefaultSelector() as selector:
        Loop(server, selector).run()


class Loop:
    """Calls what is registered for a socket whenever that socket is ready."""

    def __init__(self, server: Server, selector: selectors.BaseSelector) -> None:
        self.server = server
        self.selector = selector
        self.connections: set[Connection] = set()
        self.deadlines: dict[Connection, float] = {}
        self.next_sweep = 0.0
        self.accepting = False

    def run(self) -> None:
        self.selector.register(self.server.wakeup, EVENT_READ, self.look_up)
        self.server.on_ready()
        while not self.server.stopping or self.connections:
            self.watch_listener()
            hurry = self.deadlines or not self.accepting
            for key, _ in self.selector.select(SWEEP_SECONDS if hurry else None):
                key.data()
            if self.deadlines and time.monotonic() >= self.next_sweep:
                self.sweep()

    def watch_listener(self) -> None:
        """Watch for newcomers only while they may come in; one left waiting would make us spin."""
        if self.accepting != self.server.may_accept():
            self.accepting = not self.accepting
            if self.accepting:
                self.selector.register(self.server.listener, EVENT_READ, self.accept)
            else:
                self.selector.unregister(self.server.listener)

    def accept(self) -> None:
        if self.server.settings.transport == "udp":
            for datagram in self.server.receive_waiting():
                self.server.talk(datagram)
        else:
            for client in self.server.accept_waiting():
                self.connect(client)

    def connect(self, client: socket.socket) -> None:
        Connection(self, client)

    def look_up(self) -> None:
        """The server stops, or there is room again."""
        self.server.clear_wakeup()
        if self.server.stopping:
            self.watch_listener()
            self.server.close_listener()
            for connection in list(self.connections):
                connection.stop()

    def sweep(self) -> None:
        """Part with the clients whose time is up."""
        now = time.monotonic()
        self.next_sweep = now + SWEEP_SECONDS
        for connection, deadline in list(self.deadlines.items()):
            confirmed = connection.leaving and not unconfirmed_size(connection.client)
            if now >= deadline or (self.server.stopping and confirmed):
                connection.close("was told goodbye" if connection.leaving else "ran out of time")


class Connection:
    """One client of the loop: its talk, and what its pipe would not take yet.

    While anything is unsent we do not read. So a client that does not read its answers can soon
    send no more either: what it can make us hold is bounded, and nobody waits for it.
    """

    def __init__(self, loop: Loop, client: socket.socket) -> None:
        self.loop = loop
        self.server = loop.server
        self.client = client
        self.talk = loop.server.new_talk(client)
        self.idle_timeout = loop.server.settings.idle_timeout
        self.unsent = b""
        self.watched = 0
        self.leaving = False  # half-closed: what still comes in is discarded
        client.setblocking(False)
        loop.connections.add(self)
        self.send(self.talk.open())

    def receive(self) -> None:
        """Answer what has arrived."""
        try:
            data = self.client.recv(RECEIVE_SIZE)
        except BlockingIOError:
            return
        except OSError as error:  # that client's business and nobody else's
            self.close(f"was lost: {error.strerror}")
            return
        if not data:
            self.close("hung up")
        elif not self.leaving:
            self.answer(data)

    def answer(self, data: bytes) -> None:
        self.send(self.talk.receive(data))

    def send(self, data: bytes = b"") -> None:
        """Send what the pipe takes, keep the rest, and watch for what has to happen next."""
        if unsent := self.unsent + data:
            try:
                self.unsent = unsent[self.client.send(unsent) :]
            except BlockingIOError:
                self.unsent = unsent
            except OSError as error:
                self.close(f"was lost: {error.strerror}")
                return
        wanted = EVENT_WRITE if self.unsent else EVENT_READ
        if wanted != self.watched:
            self.watch(wanted)
        if self.idle_timeout is not None:
            self.grant_time(self.idle_timeout)
        if self.talk.over or self.server.stopping:
            self.say_goodbye()

    def watch(self, events: int) -> None:
        """Wait for `events` of the socket from now on; 0 is for none."""
        act = self.send if events == EVENT_WRITE else self.receive
        if not self.watched:
            self.loop.selector.register(self.client, events, act)
        elif events:
            self.loop.selector.modify(self.client, events, act)
        else:
            self.loop.selector.unregister(self.client)
        self.watched = events

    def stop(self) -> None:
        """The server stops: answer what has arrived and, until the deadline, a message begun."""
        self.loop.deadlines[self] = self.server.deadline
        self.receive()
        self.say_goodbye()

    def say_goodbye(self) -> None:
        """Half-close, if nothing is left to be sent or answered; the client is to hang up now."""
        if self.unsent or self.talk.mid_message or self.leaving:
            return
        if not self.talk.over and is_readable(self.client):
            return
        self.leaving = True
        self.grant_time(DRAIN_SECONDS)
        with suppress(OSError):
            self.client.shutdown(socket.SHUT_WR)

    def grant_time(self, seconds: float) -> None:
        self.loop.deadlines[self] = min(time.monotonic() + seconds, self.server.deadline)

    def close(self, ending: str) -> None:
        if self in self.loop.connections:
            self.leaving = True
            self.loop.connections.remove(self)
            self.loop.deadlines.pop(self, None)
            if self.watched:
                self.watch(0)
            self.server.narrate(self.client, ending)
            self.server.release(self.client)
