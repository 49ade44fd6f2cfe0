"""What every model is handed: listener, limits, accepting, the blocking talk, stopping.

A model decides who runs a conversation and when; everything here is the same for all of them. The
server owns its listener and the clients it admitted; whoever runs a conversation releases its
client.
"""

import errno
import fcntl
import math
import os
import selectors
import socket
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from concurrency_models.listener import SocketAddress, address_text, open_listener
from concurrency_models.settings import Settings
from concurrency_models.talk import Talk, Terms

RECEIVE_SIZE: Final = 65_536
"""Bytes asked of one `recv`: as much as a client may make us hold before we look at it."""

AT_ONCE: Final = 64
"""How many newcomers are let in at a time before we look what else there is to do."""

PAUSE_SECONDS: Final = 0.1
"""How long newcomers wait while descriptors, threads or processes are short: 10 tries a second cost
under 0.1 % of a core, where trying at once would take all of it."""

DRAIN_SECONDS: Final = 1.0
"""How long a client that was told goodbye has to hang up."""

POLL_SECONDS: Final = 0.01
"""How often to look where nothing can wake us: at a socket whose receiving side is shut."""

CLIENT_GONE: Final = frozenset(
    {
        errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EOPNOTSUPP, errno.ENOPROTOOPT,
        errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH,
    }
)  # fmt: skip
"""What accept(2) reports of a client that left, or never got, through: the next one may be fine."""

SHORTAGES: Final = {
    errno.EMFILE: "file descriptors (this process may open no more: see 'ulimit -n')",
    errno.ENFILE: "file descriptors (the whole machine may open no more)",
    errno.ENOBUFS: "network buffers",
    errno.ENOMEM: "memory",
    errno.ETOOMANYREFS: "room where clients wait for a worker process",
    errno.EAGAIN: "processes or threads (see 'ulimit -u')",
}
"""What we can run out of: there will be room again once somebody leaves."""


@dataclass(eq=False)
class Datagram:
    """One message that came over UDP, where there are no connections: a client for one answer."""

    data: bytes
    address: SocketAddress

    def close(self) -> None:
        """There is nothing to close; the name serves `Server.release`."""


Client = socket.socket | Datagram
"""Whoever is to be served: a connection, or over UDP a single datagram."""


class NarratedTalk(Talk):
    """A talk that prints a line for each message, as a beginner's `print` would."""

    def __init__(self, terms: Terms, narrate: Callable[[str], None]) -> None:
        super().__init__(terms)
        self._narrate = narrate

    def answer(self, message: bytes) -> bytes:
        shown = (
            repr(message) if len(message) <= 60 else f"{message[:50]!r}... ({len(message)} bytes)"
        )
        self._narrate(f"says {shown}")
        return super().answer(message)


class Server:
    """The part of a server that does not depend on its model of concurrency.

    Blocking models hand `serve_clients` a function that starts `talk` their way. Event loops watch
    `listener` and `wakeup`, call `accept_waiting` and drive a `new_talk` for each client.
    `stop` may be called from a signal handler or from any thread.
    """

    def __init__(self, settings: Settings, listener: socket.socket | None = None) -> None:
        self.settings = settings
        self._listener = listener
        self._twins: list[socket.socket] = []
        self.clients: set[Client] = set()
        """The clients that this process has admitted and not released."""
        self.accepted = 0
        """How many clients this process has accepted in all."""
        self.accepted_by_worker: list[int] | None = None
        """In the parent of worker processes, once they have ended: how many each of them served."""
        self.stopping = False
        self.deadline = math.inf
        """When, on the monotonic clock, conversations must be over; infinite until we stop."""
        self.kill_time = math.inf
        """When child processes that are still there should be killed, on the same clock."""
        self.on_ready: Callable[[], None] = lambda: None
        """What to do as soon as newcomers are served: says so."""
        self.end_at_once: Callable[[], None] = lambda: None
        """What to do, besides, when the program is to end at once: ends the children."""
        self._talks: dict[socket.socket, Talk] = {}  # those that block a thread in talk()
        self._names: dict[Client, str] = {}  # of those whom somebody has asked about
        self._accept_after = 0.0
        self._last_warning = -math.inf
        self.wakeup, self._wake_writer = socket.socketpair()
        """Readable when a loop should look up: the server stops, or there may be room again."""
        self.wakeup.setblocking(False)
        self._wake_writer.setblocking(False)

    def __reduce__(self) -> tuple[object, ...]:
        # A process that does not inherit our memory needs the settings and nothing else.
        return Server, (self.settings,)

    @property
    def listener(self) -> socket.socket:
        """The listening, non-blocking socket."""
        assert self._listener is not None, "this process was given no listener"
        return self._listener

    def open_twin(self) -> socket.socket:
        """Return another socket that listens at the same port; closed when the first one is."""
        at_this_port = replace(self.settings, port=self.listener.getsockname()[1])
        self._twins.append(open_listener(at_this_port, share_port=True))
        return self._twins[-1]

    def close_listener(self) -> None:
        """Close this process's copies of the listening sockets, where it has any."""
        for listener in self._twins:
            listener.close()
        if self._listener is not None:
            self._listener.close()

    @property
    def wake_descriptor(self) -> int:
        """Where `signal.set_wakeup_fd` should write, so that a signal wakes the accept loop."""
        return self._wake_writer.fileno()

    @property
    def wake_writer(self) -> socket.socket:
        """The other end of `wakeup`, for processes that have to wake this one."""
        return self._wake_writer

    # Accepting

    def limit_clients(self, most: int) -> None:
        """Serve no more than `most` clients at a time, and still no more than was asked for."""
        limit = min(most, self.settings.max_clients or most)
        self.settings = replace(self.settings, max_clients=limit)

    def serve_clients(
        self, start: Callable[[Any], object], in_service: Callable[[], int] | None = None
    ) -> None:
        """Accept one client after another and call `start` with each, until the server stops.

        What `start` is given is a connected socket or, over UDP, a `Datagram`; `talk` serves and
        releases either. `start` returns soon, or not before the conversation ends, as the model has
        it. `in_service` says how many clients are being served, for models whose clients live in
        other processes; it is called whenever one may have left.
        Then waits, to the deadline, for the conversations of this process to end.
        """
        in_service = in_service or (lambda: len(self.clients))
        arrivals: Callable[[int], Iterator[Client]] = (
            self.receive_waiting if self.settings.transport == "udp" else self.accept_waiting
        )
        with selectors.DefaultSelector() as door, selectors.DefaultSelector() as bell:
            # Two selectors, both made while descriptors last: with and without newcomers.
            door.register(self.listener, selectors.EVENT_READ)
            door.register(self.wakeup, selectors.EVENT_READ)
            bell.register(self.wakeup, selectors.EVENT_READ)
            # With a limit we count before each newcomer. Without, one look may let several in.
            most = 1 if self.settings.max_clients else AT_ONCE
            self.on_ready()
            while not self.stopping:
                # While we wait for room we look for it too: not every child ends with a signal.
                if pause := self.pause_seconds():
                    self._wait(bell, pause)
                    in_service()
                elif self.settings.max_clients and in_service() >= self.settings.max_clients:
                    self._wait(bell, PAUSE_SECONDS)
                elif self._wait(door, None):
                    in_service()
                else:
                    for client in arrivals(most):
                        self._start(start, client, bell, in_service)
            self.close_listener()
            while self.clients and time.monotonic() < self.deadline:
                self._wait(bell, self.deadline - time.monotonic())

    def _start(
        self,
        start: Callable[[Any], object],
        client: Client,
        bell: selectors.BaseSelector,
        in_service: Callable[[], int],
    ) -> None:
        """Start a conversation as soon as there is a thread or process for it."""
        while not self.stopping:
            try:
                start(client)
                return
            except (OSError, RuntimeError) as error:
                self.pause_after(error)
                self._wait(bell, self.pause_seconds())
                in_service()
        self.release(client)

    def _wait(self, selector: selectors.BaseSelector, seconds: float | None) -> bool:
        """Wait for a newcomer or a wake-up, return whether it was a wake-up."""
        woken = any(key.fileobj is self.wakeup for key, _ in selector.select(seconds))
        if woken:
            self.clear_wakeup()
        return woken

    def accept_waiting(self, most: int = AT_ONCE) -> Iterator[socket.socket]:
        """Yield clients that wait to be accepted, `most` at the most, without ever blocking.

        Yields none while there is no room for them. Each is admitted; whoever takes it releases it.
        """
        for _ in range(most):
            if not self.may_accept():
                return
            try:
                client, _ = self.listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self.pause_after(error)
                return
            self.admit(client)
            yield client

    def receive_waiting(self, most: int = AT_ONCE) -> Iterator[Datagram]:
        """Yield datagrams that wait to be answered, as `accept_waiting` does connections."""
        for _ in range(most):
            if not self.may_accept():
                return
            try:
                datagram = Datagram(*self.listener.recvfrom(RECEIVE_SIZE))
            except BlockingIOError:
                return
            self.admit(datagram)
            yield datagram

    def may_accept(self) -> bool:
        """Whether to watch the listener: False while stopping, full, or short of something."""
        if self.stopping or (self._accept_after and self.pause_seconds()):
            return False
        most = self.settings.max_clients
        return not most or len(self.clients) < most

    def pause_seconds(self) -> float:
        """How long from now newcomers should be left waiting; 0.0 when they need not."""
        if not self._accept_after:
            return 0.0
        left = self._accept_after - time.monotonic()
        if left <= 0:
            self._accept_after = 0.0
            return 0.0
        return left

    def pause_after(self, error: BaseException) -> float:
        """Judge an error in accepting or starting: how long to leave newcomers waiting, in seconds.

        A client that is gone costs no pause. A shortage is reported, once a second at most, and
        costs `PAUSE_SECONDS`. Anything else is a mistake in the program and is raised again.
        """
        number = error.errno if isinstance(error, OSError) else None
        if number in CLIENT_GONE:
            return 0.0
        if isinstance(error, RuntimeError) and "start new thread" in str(error):
            number = errno.EAGAIN  # all that `threading` says of it
        if number not in SHORTAGES:
            raise error
        self.pause()
        self.warn(f"out of {SHORTAGES[number]}; newcomers wait until there is room")
        return PAUSE_SECONDS

    def pause(self) -> None:
        """Leave newcomers waiting for `PAUSE_SECONDS`."""
        self._accept_after = time.monotonic() + PAUSE_SECONDS

    def admit(self, client: Client) -> None:
        """Count a client in; `release` counts it out."""
        self.accepted += 1
        self.clients.add(client)
        if not isinstance(client, Datagram):
            self.narrate(client, "connected")

    def release(self, client: Client) -> None:
        """Close this process's copy of a client's socket and count the client out."""
        client.close()
        self.clients.discard(client)
        self._names.pop(client, None)
        if self.stopping or self.settings.max_clients or self._accept_after:
            self.wake()

    # Talking

    def new_talk(self, client: Client) -> Talk:
        """Return the talk to hold with a client that was just accepted."""
        if not self.settings.verbose:
            return Talk(self.settings.terms)
        name = self.name_of(client)
        return NarratedTalk(self.settings.terms, lambda text: self.narrate(name, text))

    def talk(self, client: Client) -> None:
        """Hold one whole conversation, blocking, and release the client."""
        if isinstance(client, Datagram):
            self._answer_datagram(client)
        else:
            self._talk_on(client)

    def _answer_datagram(self, datagram: Datagram) -> None:
        answer = self.new_talk(datagram).receive_datagram(datagram.data)
        try:
            self.listener.sendto(answer, datagram.address)
        except (
            OSError
        ) as error:  # no room, or no way there: a datagram may be lost, and this one is
            self.narrate(datagram, f"was not answered: {error.strerror}")
        self.release(datagram)

    def _talk_on(self, client: socket.socket) -> None:
        ending = "went down with us"
        talk = self._talks[client] = self.new_talk(client)
        try:
            self._limit_silence(client)
            ending = self._converse(client, talk)
        except BlockingIOError:
            ending = "ran out of time"
            self._say_goodbye(client)
        except OSError as error:  # that client's business and nobody else's
            ending = f"was lost: {error.strerror}"
        finally:
            del self._talks[client]
            self.narrate(client, ending)
            self.release(client)

    def _converse(self, client: socket.socket, talk: Talk) -> str:
        """Talk until somebody ends it, and return how it ended."""
        if greeting := talk.open():
            client.sendall(greeting)
        receive, answer, send = client.recv, talk.receive, client.sendall
        while not (talk.over or self.stopping):
            data = receive(RECEIVE_SIZE)
            if data:
                if reply := answer(data):
                    send(reply)
            elif not self.stopping:  # while stopping, it only says that nothing more has arrived
                return "hung up"
        if self.stopping:
            self._finish_message(client, talk)
        self._say_goodbye(client)
        return "was told goodbye"

    def _finish_message(self, client: socket.socket, talk: Talk) -> None:
        """Answer what has already arrived, and the message of which a part has, to the deadline."""
        while not talk.over and (left := self.deadline - time.monotonic()) > 0:
            if not talk.mid_message:
                client.shutdown(socket.SHUT_RD)
            client.settimeout(left)
            data = client.recv(RECEIVE_SIZE)
            if data:
                client.sendall(talk.receive(data))
            elif talk.mid_message:
                time.sleep(POLL_SECONDS)
            else:
                return

    def _say_goodbye(self, client: socket.socket) -> None:
        """Half-close, then read and discard until the client hangs up or its time is over.

        Closing a socket with unread input resets the connection, and that destroys whatever we
        have sent and the client's kernel has not yet confirmed.
        """
        deadline = time.monotonic() + DRAIN_SECONDS
        with suppress(OSError):
            client.shutdown(socket.SHUT_WR)
            while (left := min(deadline, self.deadline) - time.monotonic()) > 0:
                client.settimeout(left)
                if client.recv(RECEIVE_SIZE):
                    continue
                if not unconfirmed_size(client):
                    return
                time.sleep(POLL_SECONDS)

    def _limit_silence(self, client: socket.socket) -> None:
        # Set in the kernel, the limit costs no system call per message; `settimeout` would poll
        # before every `recv` and take a quarter off the throughput.
        if self.settings.idle_timeout is not None:
            whole = int(self.settings.idle_timeout)
            micro = int((self.settings.idle_timeout - whole) * 1e6)
            timeval = struct.pack("@ll", whole, micro)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)

    # Stopping

    def stop(self) -> None:
        """Accept nobody any more, and let every conversation end at its next pause."""
        if self.stopping:
            return
        # What is left of the grace is for closing up once the conversations are over.
        now = time.monotonic()
        self.deadline = now + 0.8 * self.settings.grace
        self.kill_time = now + 0.95 * self.settings.grace
        self.stopping = True
        self.wake()
        for client, talk in list(self._talks.items()):
            # Wakes a thread that is blocked in recv() and takes nothing away over TCP, where the
            # rest of a message still arrives. On a unix socket its sender would fail instead.
            if client.family != socket.AF_UNIX or not (talk.mid_message or is_readable(client)):
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RD)
        if self._talks:
            self._expire_later()

    def _expire_later(self) -> None:
        try:
            timer = threading.Timer(self.deadline - time.monotonic(), self._expire)
            timer.daemon = True
            timer.start()
        except RuntimeError:  # no thread to be had, so no time to be given
            self._expire()

    def _expire(self) -> None:
        """Break off the conversations that are still going on."""
        for client in list(self._talks):
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def wake(self) -> None:
        """Make `wakeup` readable."""
        with suppress(BlockingIOError):  # full: it is readable already
            self._wake_writer.send(b"\0")

    def clear_wakeup(self) -> None:
        """Make `wakeup` unreadable until the next `wake`."""
        with suppress(BlockingIOError):
            while self.wakeup.recv(4096):
                pass

    # Saying what goes on

    def warn(self, text: str) -> None:
        """Print a line for whoever runs the server, on standard error, once a second at most."""
        now = time.monotonic()
        if now - self._last_warning >= 1:
            self._last_warning = now
            print(f"concurrency_models: {text}", file=sys.stderr, flush=True)

    def leave_narration_to_workers(self) -> None:
        """Say nothing of clients any more: the worker that serves one tells all of it."""
        self.settings = replace(self.settings, verbose=False)

    def narrate(self, client: Client | str, text: str) -> None:
        """If verbose, print what a client did, and in which process and thread it is served."""
        if self.settings.verbose:
            name = client if isinstance(client, str) else self.name_of(client)
            who = f"process {os.getpid()}, {threading.current_thread().name}"
            say(f"[{who}] {name} {text}")

    def name_of(self, client: Client) -> str:
        """Return the address of the other end as text, noted while there was one."""
        if client not in self._names:
            self._names[client] = peer_name(client)
        return self._names[client]


def say(text: str) -> None:
    """Print a line; where nobody reads on, as after `| head`, that is no reason to stop serving."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        with suppress(OSError):  # what was not written would be tried again, and fail, at the end
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)


def peer_name(client: Client) -> str:
    """Return the address of the other end as text, also when it has already gone."""
    if isinstance(client, Datagram):
        return address_text(client.address)
    try:
        return address_text(client.getpeername())
    except OSError:
        return "(gone)"


def is_readable(client: socket.socket) -> bool:
    """Whether bytes of the client wait to be received."""
    try:
        return bool(client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:
        return False


def unconfirmed_size(client: socket.socket) -> int:
    """Return how many bytes we sent that the other end's kernel has not confirmed."""
    queued = bytearray(4)
    try:
        fcntl.ioctl(client, termios.TIOCOUTQ, queued)  # SIOCOUTQ of tcp(7): the same number
    except (OSError, ValueError):  # it is lost, or an event loop has closed it
        return 0
    return int.from_bytes(queued, sys.byteorder)
