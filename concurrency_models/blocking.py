"""The talk over a blocking socket: receive, answer, send, until somebody has nothing more to say.

The loop comes first, as every course writes it. What has to be there besides stands around it and
not in it, so that a message costs two system calls and nothing else: the kernel keeps the idle
time, and a thread that is blocked in `recv` learns of the stop by the end of its stream.
"""

import math
import select
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from typing import Final

from concurrency_models.inbox import RECEIVE_SIZE
from concurrency_models.leaving import LOOK_SECONDS, Leaving, is_readable
from concurrency_models.self_pipe import POLL_SECONDS
from concurrency_models.server import Server
from concurrency_models.systems import shut_rd_discards, unconfirmed_size
from concurrency_models.talk import Talk, frame

SWITCH_INTERVAL: Final = 0.005
"""Python's own switch interval, in seconds: how long a thread may keep the GIL from another."""

BLOCKED: Final[set[Leaving]] = set()
"""The talks that threads of this process are blocked in."""

MANY: Final = 500
"""How many threads may ask for the GIL as often as Python has them."""

REHEARSALS: Final = 16
"""CPython 3.11 begins to note things in a function's code when it is called for the eighth time."""


def exchange(client: "socket.socket | InTime", talk: Talk) -> None:
    """Answer every message until the talk is over or the client hangs up."""
    if greeting := talk.open():
        client.sendall(greeting)
    while not talk.over:
        size = client.recv_into(talk.room())
        if not size:
            return
        if reply := talk.received(size):
            client.sendall(reply)
            if talk.inbox.roomy and is_silent(client, LOOK_SECONDS):
                del reply  # it lies in the memory that is given back
                talk.inbox.give_back()


def talk(server: Server, client: socket.socket) -> None:
    """Hold one whole talk, blocking, and release the client."""
    try:
        with Leaving(server, client) as leaving:
            BLOCKED.add(leaving)
            server.when_stopped.add(interrupt_all)
            settings = server.settings
            if len(server.clients) > MANY or sys.getswitchinterval() != SWITCH_INTERVAL:
                keep_looks_few(server)
            if settings.idle_timeout is not None:
                limit_silence(client, settings.idle_timeout)
            if not server.stopping:
                limited = settings.message_timeout is not None
                exchange(InTime(leaving) if limited else client, leaving.talk)
                leaving.ending = "hung up"
            if server.stopping:
                finish(leaving)
            if leaving.all_is_said():
                linger(leaving)
    except MemoryError as error:  # there was not even enough to begin
        server.let_go(client, error)
    else:
        BLOCKED.discard(leaving)


def rehearse(server: Server) -> None:
    """Hold some talks with ourselves, for those that will be held in forked children.

    The interpreter notes in a function's code, and in its types, what it found when it ran, and a
    talk has memory: all of that is written now, and there for every child.
    """
    if server.narration.listens:  # it would tell of them
        return
    message = frame(server.settings.terms.framing, b"is anybody there?")
    for _ in range(REHEARSALS):
        ours, theirs = socket.socketpair()
        with theirs:
            theirs.sendall(message)
            theirs.shutdown(socket.SHUT_WR)
            with Leaving(server, ours) as leaving:
                exchange(ours, leaving.talk)


def keep_looks_few(server: Server) -> None:
    """Let threads that want the GIL ask for it less often where there are very many of them.

    Each that waits wakes once per switch interval to ask. When 10,000 clients left at once, it was
    2,000,000 times a second, and nothing else was done: a stop took 579 s (one run, on two busy
    cores). With this, the same took 3.5 s; at 200,000 times a second it had taken 15 s.
    """
    if server.settings.switch_interval is None:
        wanted = max(SWITCH_INTERVAL, SWITCH_INTERVAL * len(server.clients) / MANY)
        if wanted != sys.getswitchinterval():
            sys.setswitchinterval(wanted)


class InTime:
    """A client whose messages have to be whole in time: `recv_into` waits no longer for the rest.

    It costs a system call for each part of a message after the first.
    """

    def __init__(self, leaving: Leaving) -> None:
        self._leaving = leaving
        self.sendall = leaving.client.sendall
        self.fileno = leaving.client.fileno

    def recv_into(self, room: memoryview) -> int:
        """Receive; raises TimeoutError when the time for a message that has begun is over."""
        left = self._leaving.seconds_for_message(time.monotonic())
        if left < math.inf:
            idle_timeout = self._leaving.server.settings.idle_timeout
            if is_silent(self, max(0.0, min(left, idle_timeout or left))):
                raise TimeoutError
        return self._leaving.client.recv_into(room)


def is_silent(client: socket.socket | InTime, seconds: float) -> bool:
    """Whether a client sends nothing for so long, nor hangs up; returns as soon as it does.

    A system call, so it is for those whose messages are large, or have to be whole in time.
    """
    signs = select.poll()
    signs.register(client, select.POLLIN)
    return not signs.poll(seconds * 1000)


def limit_silence(client: socket.socket, seconds: float) -> None:
    """Have the kernel end a `recv` or a `sendall` in which nothing moves for so long.

    It costs no system call per message; `settimeout` would poll before every `recv` and take a
    quarter off the throughput.
    """
    timeval = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)


def interrupt_all(server: Server) -> None:
    """Wake the threads that are blocked in the server's talks, as it stops."""
    if not (found := blocked(server)):
        return
    pending = [leaving for leaving in found if not interrupt(leaving)]
    try:
        threading.Thread(target=keep_interrupting, args=(server, pending), daemon=True).start()
    except RuntimeError:  # no thread to be had, so no time to be given
        server.deadline = time.monotonic()
        keep_interrupting(server, [])


def keep_interrupting(server: Server, pending: list[Leaving]) -> None:
    """Interrupt those that could not be at once and, at the deadline, whoever is left."""
    while (left := server.deadline - time.monotonic()) > 0:
        time.sleep(min(left, POLL_SECONDS) if pending else left)
        pending = [one for one in pending if one in BLOCKED and not interrupt(one)]
    for leaving in blocked(server):
        interrupt(leaving)


def blocked(server: Server) -> list[Leaving]:
    """Return the server's talks that threads of this process are blocked in."""
    return [leaving for leaving in list(BLOCKED) if leaving.server is server]


def interrupt(leaving: Leaving) -> bool:
    """Wake the thread that is blocked in the talk, as the server stops.

    Returns whether that is done; if not, it is to be tried again. At the deadline, breaks it off.
    """
    client, talk = leaving.client, leaving.talk
    how = socket.SHUT_RD
    if time.monotonic() >= leaving.server.deadline:
        how = socket.SHUT_RDWR
    elif shut_rd_discards(client.family):
        # What was received a moment ago may not have come to the talk yet, so we look twice.
        was_quiet, leaving.quiet = leaving.quiet, not (talk.mid_message or is_readable(client))
        if not (was_quiet and leaving.quiet):
            return False
    with suppress(OSError):
        client.shutdown(how)
    return True


def finish(leaving: Leaving) -> None:
    """Answer what has arrived and, until the deadline, the rest of a message begun."""
    client, talk, server = leaving.client, leaving.talk, leaving.server
    while not leaving.all_is_said() and (left := server.deadline - time.monotonic()) > 0:
        client.settimeout(left)
        if size := client.recv_into(talk.room()):
            client.sendall(talk.received(size))
        else:  # nothing more has arrived yet, or ever will
            time.sleep(POLL_SECONDS)


def linger(leaving: Leaving) -> None:
    """Half-close, then read and discard until the client hangs up or its time is over."""
    client = leaving.client
    leaving.half_close()
    with suppress(OSError):
        while (left := leaving.seconds_left()) > 0:
            client.settimeout(left)
            if client.recv(RECEIVE_SIZE):
                continue
            if not unconfirmed_size(client):
                return
            time.sleep(POLL_SECONDS)
