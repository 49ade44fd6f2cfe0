"""What ties child processes to their parent: a pipe that nobody writes to.

It ends when the parent lets go of it, whether in order to stop or because it was killed; the
children need not know which. So none of them is ever left behind.
"""

import fcntl
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Final, Self

from concurrency_models.blocking import rehearse
from concurrency_models.self_pipe import POLL_SECONDS
from concurrency_models.server import Server

SPARE_DESCRIPTORS: Final = 12
"""How many descriptors the start of a process may take for a moment: a fork takes 4, a fork server
a connection, 4 for pipes and some copies."""


class Lifeline:
    """The parent's end: a context manager inside which children are started.

    Pass it to every child, which first calls `hold`. On leaving the block the children are told to
    stop, and when it returns each has ended: by itself or, at the server's `kill_time`, by force.
    children: reaps those that have ended and returns the process ids of those that have not; None
    for those that `multiprocessing` started.
    """

    def __init__(
        self, server: Server, children: Callable[[], Collection[int]] | None = None
    ) -> None:
        self._server = server
        self._children = children or active_children
        self._writer: Connection | None
        self._reader, self._writer = multiprocessing.Pipe(duplex=False)

    def __getstate__(self) -> dict[str, object]:
        # A child that does not inherit our memory is sent its end of the pipe and nothing else.
        return {"_reader": self._reader, "_writer": None}

    def __enter__(self) -> Self:
        # A handler, though an empty one: only then is the death of a child written to the wake-up
        # descriptor, and the accept loop comes to reap it.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        if multiprocessing.get_start_method() == "fork":
            self._write_before_children_do()
        else:
            from multiprocessing import resource_tracker  # noqa: PLC0415 - else mapped in vain

            # Whoever starts this lets Ctrl-C in again: the first child would be told, too early.
            resource_tracker.ensure_running()
        self._server.in_service = self.count_children
        self._server.end_at_once = self.kill_children
        return self

    def _write_before_children_do(self) -> None:
        """Write to our memory, once, what a forked child would.

        A page that it shares with us is copied as soon as either writes to it: on one machine a
        child that answered one message had 600 of its pages copied, and without these has 555.
        """
        rehearse(self._server)
        sys.stdin = None  # nobody reads it; `multiprocessing` opens another one in each child
        # Of what is here now, nothing is garbage. A child that looked through it for some would
        # write to all of it, and so have 2 MiB of its own; whether it comes to look is chance.
        gc.freeze()

    def start(self, process: BaseProcess) -> None:
        """Start a child, or raise OSError or MemoryError and leave nothing open.

        Where `multiprocessing` fails half-way, it forgets the pipes that it had made (CPython 3.11
        to 3.13): some seconds of trying would take every descriptor. So it is not begun without
        descriptors to spare, and what a fork that failed had opened is closed.

        A child that is not forked inherits that Ctrl-C is blocked, until it has come so far as to
        `hold`: it is still importing, and would end with a traceback.
        """
        if multiprocessing.get_start_method() == "fork":
            self._fork(process)
            return
        self._next_descriptors(SPARE_DESCRIPTORS)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _fork(self, process: BaseProcess) -> None:
        next_descriptors = self._next_descriptors(SPARE_DESCRIPTORS)
        try:
            process.start()
        except (OSError, MemoryError):
            for descriptor in next_descriptors:  # the other start methods clear up at this point
                with suppress(OSError):
                    os.close(descriptor)
            raise

    def _next_descriptors(self, count: int) -> list[int]:
        """Return the descriptors that will be opened next: always the lowest that are free."""
        descriptors: list[int] = []
        try:
            for _ in range(count):
                descriptors.append(os.dup(self._reader.fileno()))  # noqa: PERF401 - see finally
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return descriptors

    def hold(self, server: Server) -> None:
        """In a child: let `server`, the child's copy, stop when the parent lets go.

        Ctrl-C in a terminal reaches every process there; what to do then is the parent's affair.
        """
        signal.set_wakeup_fd(-1)  # a forked child would wake its parent
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: server.stop())
        if self._writer is None:  # it was not forked, see `start`
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
        else:
            self._writer.close()  # or the children would hold each other's lifelines
        try:
            if self._ends_with_a_signal():
                server.stop()
        except (OSError, AttributeError):
            # Not on Linux. A thread does as well, for a quarter more CPU per child.
            threading.Thread(target=self._wait_for_end, daemon=True).start()

    def _ends_with_a_signal(self) -> bool:
        """Have the kernel send SIGTERM when the pipe ends; return whether it already has.

        Whom to tell is noted in the open file, which forked siblings share. Opened anew, the pipe
        has an open file of our own.
        """
        pipe = os.open(f"/proc/self/fd/{self._reader.fileno()}", os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGTERM)
        fcntl.fcntl(pipe, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
        try:
            return not os.read(pipe, 1)
        except BlockingIOError:
            return False

    def _wait_for_end(self) -> None:
        self._reader.poll(None)
        # To the thread that is to be woken: of a whole process, the kernel may choose any.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def count_children(self) -> int:
        """Reap the children that have ended and return how many have not."""
        return len(self._children())

    def kill_children(self) -> None:
        """End every child, whatever it is doing."""
        for child in self._children():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._writer is not None
        self._server.stop()
        self._writer.close()
        while self._children():
            if time.monotonic() >= self._server.kill_time:
                self.kill_children()
            # To wait for SIGCHLD would not do: the children of a fork server are not ours.
            time.sleep(POLL_SECONDS)
        self._reader.close()


def active_children() -> list[int]:
    """Return the process ids of the children that `multiprocessing` started."""
    return [child.pid for child in multiprocessing.active_children() if child.pid is not None]
