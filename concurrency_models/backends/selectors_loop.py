"""One thread for all clients: wait until some socket is ready, do what cannot block, wait again."""

import selectors
import socket
import time
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE

from concurrency_models.accepting import receive_waiting, start_waiting
from concurrency_models.datagrams import answer
from concurrency_models.leaving import OUT_OF_MEMORY, Leaving, Looks
from concurrency_models.server import Server
from concurrency_models.shortage import LET_GO


def serve(server: Server) -> None:
    """Serve all clients from one event loop until the server stops."""
    Loop(server).run()


def serve_datagrams(server: Server) -> None:
    """Answer all datagrams from one event loop until the server stops."""
    DatagramLoop(server).run()


class Loop:
    """Calls what is registered for a socket whenever that socket is ready."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.selector = selectors.DefaultSelector()
        self.looks = Looks(server)
        self.next_look = 0.0
        self.accepting = False

    def run(self) -> None:
        with self.selector:
            self.selector.register(self.server.self_pipe, EVENT_READ, self.wake_up)
            self.server.ready()
            while not self.server.stopping or self.looks.active:
                pause = self.looks.pause_seconds() if self.looks.needed() else None
                self.watch_listener()  # last: a shortage that ended meanwhile leaves it watched
                act: Callable[[], None] | None = None
                try:
                    for key, _ in self.selector.select(pause):
                        act = key.data
                        act()
                except MemoryError as error:  # who is ready and had no turn still is
                    self.fall_short(getattr(act, "__self__", None), error)
                if pause is not None and time.monotonic() >= self.next_look:
                    self.looks.look()
                    self.next_look = time.monotonic() + self.looks.pause_seconds()

    def watch_listener(self) -> None:
        """Watch for clients only while they may come in; one left waiting would make us spin."""
        if self.accepting != self.server.may_accept():
            self.accepting = not self.accepting
            if self.accepting:
                self.selector.register(self.server.listener, EVENT_READ, self.accept)
            else:
                self.selector.unregister(self.server.listener)

    def fall_short(self, owner: object, error: MemoryError) -> None:
        """Go on without the connection that there was not enough memory for."""
        if isinstance(owner, Connection):
            owner.let_go(error)
        else:
            self.server.shortage.pause_after(error)

    def accept(self) -> None:
        start_waiting(self.server, self.connect)

    def connect(self, client: socket.socket) -> None:
        Connection(self, client)

    def wake_up(self) -> None:
        """The server stops, or there is room again."""
        self.server.self_pipe.clear()
        if self.server.stopping:
            self.watch_listener()
            self.server.close_listener()
            for connection in self.connections():
                connection.stop()

    def connections(self) -> "list[Connection]":
        """Return those whose sockets are watched."""
        owners = [getattr(key.data, "__self__", None) for key in self.selector.get_map().values()]
        return [owner for owner in owners if isinstance(owner, Connection)]


class Connection:
    """One client of the loop: its talk, and what its pipe would not take yet.

    While anything is unsent we do not read: that is backpressure. A client that does not read its
    answers can soon send no more either; what it can make us hold is bounded, and nobody waits for
    it.
    """

    __slots__ = ("client", "leaving", "loop", "talk", "unsent", "watched")

    def __init__(self, loop: Loop, client: socket.socket) -> None:
        self.loop = loop
        self.client = client
        self.leaving = Leaving(loop.server, client, loop.looks)
        self.leaving.break_off = self.close
        self.talk = self.leaving.talk
        self.unsent: bytes | memoryview = b""
        self.watched = 0
        client.setblocking(False)
        self.answer(self.talk.open())

    def receive(self) -> None:
        """Answer what has arrived."""
        if self.talk.more:
            self.answer(self.talk.go_on())
            return
        try:
            size = self.client.recv_into(self.talk.room())
        except BlockingIOError:
            return
        except OSError as error:  # that client's business and nobody else's
            self.close(f"was lost: {error.strerror}")
            return
        self.leaving.moves += 1
        if not size:
            self.close("hung up")
        elif not self.leaving.half_closed:
            self.take(size)

    def take(self, size: int) -> None:
        """Take in what was received, so many bytes."""
        self.answer(self.talk.received(size))

    def answer(self, reply: bytes | memoryview) -> None:
        """Send a reply or, as soon as the pipe takes it, the rest."""
        self.unsent = reply
        self.send()
        if self.unsent:
            self.unsent = self.talk.detached(self.unsent)

    def send(self) -> None:
        """Send what the pipe takes, keep the rest, and watch for what has to happen next."""
        if self.unsent:
            try:
                sent = self.client.send(self.unsent)
                self.unsent = self.unsent[sent:] if sent < len(self.unsent) else b""
            except BlockingIOError:
                pass
            except OSError as error:
                self.close(f"was lost: {error.strerror}")
                return
        # While there is more to answer, the socket is ready at the next turn, as all others are.
        wanted = EVENT_WRITE if self.unsent or self.talk.more else EVENT_READ
        if wanted != self.watched:
            self.watch(wanted)
        if self.talk.over or self.loop.server.stopping:
            self.say_goodbye()

    def go_on(self) -> None:
        """Send the rest of a reply or, once that is done, the next one."""
        if self.unsent:
            self.send()
        else:
            self.receive()

    def watch(self, events: int) -> None:
        """Wait for `events` of the socket from now on; 0 is for none."""
        act = self.go_on if events == EVENT_WRITE else self.receive
        if not self.watched:
            self.loop.selector.register(self.client, events, act)
        elif events:
            self.loop.selector.modify(self.client, events, act)
        else:
            self.loop.selector.unregister(self.client)
        self.watched = events

    def stop(self) -> None:
        """The server stops: answer what has arrived and, until the deadline, a message begun."""
        if not self.unsent:  # the reply may lie where we would receive
            self.receive()
        self.say_goodbye()

    def say_goodbye(self) -> None:
        """Half-close, if nothing is left to be sent or answered; the client is to hang up now."""
        if not (self.unsent or self.leaving.half_closed) and self.leaving.all_is_said():
            self.leaving.half_close()

    def let_go(self, error: MemoryError) -> None:
        self.loop.server.shortage.pause_after(error, LET_GO)
        self.close(OUT_OF_MEMORY)

    def close(self, ending: str | None = None) -> None:
        if not self.leaving.released:
            if self.watched:
                self.watch(0)
            self.leaving.release(ending)


class DatagramLoop(Loop):
    """The same loop over the one socket that takes all datagrams."""

    def accept(self) -> None:
        for datagram in receive_waiting(self.server):
            answer(self.server, datagram)
