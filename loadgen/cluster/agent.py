"""The agent on a machine of a cluster: starts workers and servers there, and ends them.

It lives for one command, and no longer: whatever became of that command, be it killed or cut off,
the agent ends all that it has started and then itself. Each of its lines begins with a word that
says what it is for:

    pulse      asks again and again what the clock reads; without it, the agent ends
    requests   asks this and that, see `_REQUESTS`
    work       becomes the line of a load worker, a process of its own
    serve      has a server run for as long as the line stands, see `serving`
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection
from typing import Any, Final

from loadgen.cluster.facts import facts
from loadgen.cluster.serving import serve
from loadgen.cluster.shortage import shortage
from loadgen.cluster.wire import admit, hang_up
from loadgen.fleet import worker
from loadgen.fleet.here import end_process
from loadgen.servers import interpreters
from loadgen.servers.interpreters import Interpreter
from loadgen.servers.started import STOP_SECONDS

# Longer than the command waits for us before it gives us up.
FORSAKEN_SECONDS = 10.0
# In which somebody is to come who knows the key.
JOIN_SECONDS = 30.0
BACKLOG = 128


def main() -> None:
    """Be an agent: told an address and a key on standard input, say the port, and stay."""
    # Whoever started us may have other plans for these.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    host, key = pickle.load(sys.stdin.buffer)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, backlog=BACKLOG) as listener:
        print(listener.getsockname()[1], flush=True)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for standard in range(3):
            os.dup2(nowhere, standard)
        Agent(listener, key).run()


class Agent:
    """What runs on this machine for a command, by the lines that it has opened to us."""

    def __init__(self, listener: socket.socket, key: bytes) -> None:
        self._listener = listener
        self._key = key
        self._over = threading.Event()
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._lines: set[Connection] = set()
        self._servers: list[threading.Thread] = []
        self._lock = threading.Lock()
        # When the command was last heard of.
        self._heard_at = time.monotonic() + JOIN_SECONDS - FORSAKEN_SECONDS

    def run(self) -> None:
        """Serve the command until it is gone, then end all that runs for it."""
        threading.Thread(target=self._accept, name="incoming", daemon=True).start()
        while not self._over.wait(1.0):
            if time.monotonic() > self._heard_at + FORSAKEN_SECONDS:
                break
        self._over.set()
        with self._lock:
            lines, servers = list(self._lines), list(self._servers)
            workers = list(self._workers.values())
        for line in lines:
            hang_up(line)
        for process in workers:
            process.kill()
        deadline = time.monotonic() + STOP_SECONDS + 2.0
        for thread in servers:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._meet, args=(sock,), daemon=True)
            with self._lock:
                self._servers = [one for one in self._servers if one.is_alive()]
            thread.start()

    def _meet(self, sock: socket.socket) -> None:
        """Take somebody in who knows the key, for what they say that they have come for."""
        with (
            contextlib.suppress(OSError, EOFError, AuthenticationError),
            admit(sock, self._key) as line,
        ):
            with self._lock:
                if self._over.is_set():
                    return
                self._lines.add(line)
            try:
                kind, value = line.recv()
                _ERRANDS[kind](self, line, value)
            finally:
                with self._lock:
                    self._lines.discard(line)

    def _pulse(self, line: Connection, _: None) -> None:
        try:
            while True:
                number = line.recv()
                line.send((number, time.monotonic_ns()))
                self._heard_at = time.monotonic()
        finally:
            self._over.set()

    def _requests(self, line: Connection, _: None) -> None:
        while True:
            kind, value = line.recv()
            try:
                answer = True, _REQUESTS[kind](self, *value)
            except Exception as error:  # noqa: BLE001 - whoever asked is told
                answer = False, error
            line.send(answer)

    def _work(self, line: Connection, number: int) -> None:
        process = subprocess.Popen(
            worker.command(line.fileno()),
            pass_fds=[line.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        with self._lock:
            self._workers[number] = process
        if self._over.is_set():
            process.kill()

    def _serve(self, line: Connection, value: tuple[Any, ...]) -> None:
        with self._lock:
            self._servers.append(threading.current_thread())
        serve(line, *value)

    # What is asked for

    def how_it_ended(self, number: int) -> int | None:
        """The exit status of a worker whose line has ended; None for one that goes on.

        Of one that could not be started as well.
        """
        process = self._workers.get(number)
        try:
            return None if process is None else process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return None

    def end(self, number: int) -> None:
        """See to it that a worker ends whose line was closed."""
        with self._lock:
            process = self._workers.pop(number, None)
        if process is not None:
            end_process(process)

    def interpreters(self, words: Sequence[str] | None) -> tuple[list[Interpreter], list[str]]:
        """The interpreters of this machine that people name; None for the one that runs us."""
        return ([interpreters.own()], []) if words is None else interpreters.find(words)


_ERRANDS: Final[dict[str, Callable[[Agent, Connection, Any], None]]] = {
    "pulse": Agent._pulse,
    "requests": Agent._requests,
    "work": Agent._work,
    "serve": Agent._serve,
}
_REQUESTS: Final[dict[str, Callable[..., Any]]] = {
    "facts": lambda _, host: facts(host),
    "shortage": lambda _, *value: shortage(*value),
    "how it ended": Agent.how_it_ended,
    "end": Agent.end,
    "interpreters": Agent.interpreters,
}
