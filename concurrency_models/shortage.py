"""What a server can run out of, and what it does then: new clients wait a little, nobody is lost.

Trying again at once would take all of a core; ten tries a second cost under 0.1 % of it. Short of
memory, a client that is already in may have to go: it is closed, and the others go on.
"""

import errno
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from concurrency_models.inbox import Bytes, map_memory

PAUSE_SECONDS: Final = 0.1
"""How long new clients wait while descriptors, threads, processes or memory are short."""

RESERVE_SIZE: Final = 4 << 20
"""Bytes of address space put by, which no memory stands behind, to be let go when memory is short:
what has to be done then takes some as well, the interpreter's own a MiB at a time."""

RESERVE_SECONDS: Final = 1.0
"""How long new clients wait for the reserve to be had again. Then they are let in all the same:
what was freed may lie where the interpreter finds it, and the kernel does not."""

CLIENT_GONE: Final = frozenset(
    {
        errno.ECONNABORTED, errno.ECONNRESET, errno.ETIMEDOUT, errno.EPROTO, errno.EPERM,
        errno.EOPNOTSUPP, errno.ENOPROTOOPT, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN,
        errno.EHOSTUNREACH, getattr(errno, "ENONET", errno.EHOSTUNREACH),
    }
)  # fmt: skip
"""What accept(2) reports of a client that left, or never got, through: the next one may be fine.
EPERM is a firewall's; macOS knows no ENONET."""

SHORTAGES: Final = {
    errno.EMFILE: "file descriptors (this process may open no more: see 'ulimit -n')",
    errno.ENFILE: "file descriptors (the whole machine may open no more)",
    errno.ENOBUFS: "network buffers",
    errno.ENOMEM: "memory",
    errno.ETOOMANYREFS: "room where clients wait for a worker process",
    errno.EAGAIN: "processes or threads, or memory for them (see 'ulimit -u' and 'ulimit -v')",
    errno.EPERM: "the right to start processes or threads",
}
"""What we can run out of: there will be room again once somebody leaves."""


LET_GO: Final = "a client was let go, "
"""Of whom `pause_after` is to tell, where somebody could not be served for want of memory."""


class Shortage:
    """Whether something is short at the moment, so that new clients had better wait.

    warn: prints a line for whoever runs the server.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self.until = 0.0
        """Until when new clients wait, on the monotonic clock; 0.0 where nothing was ever short,
        which is asked before every client and costs no call."""
        self._reserve: Bytes | None = map_memory(RESERVE_SIZE)
        self._missed = 0.0

    def __bool__(self) -> bool:
        return self.seconds_left() > 0

    def seconds_left(self) -> float:
        """Return how long from now new clients should be left waiting; 0.0 when they need not."""
        if not self.until:
            return 0.0
        until = self.until  # first, or a pause that another thread begins would seem to be over
        now = time.monotonic()
        if until <= now and not self._has_reserve() and now < self._missed + RESERVE_SECONDS:
            self.pause()
            return PAUSE_SECONDS
        return max(0.0, until - now)

    def _has_reserve(self) -> bool:
        """Put by again what was let go; return False where it cannot be had yet."""
        if self._reserve is None:
            with suppress(MemoryError):
                self._reserve = map_memory(RESERVE_SIZE)
        return self._reserve is not None

    def pause(self) -> None:
        """Leave new clients waiting for `PAUSE_SECONDS`."""
        self.until = time.monotonic() + PAUSE_SECONDS

    def pause_after_accept(self, error: BaseException) -> None:
        """Judge an error in accepting: a client that is gone costs no pause; see `pause_after`."""
        if not (isinstance(error, OSError) and error.errno in CLIENT_GONE):
            self.pause_after(error)

    def pause_after(self, error: BaseException, lost: str = "") -> None:
        """Judge an error in starting a thread or process, or in serving a client.

        A shortage is reported and costs `PAUSE_SECONDS`; where it is of memory, the reserve is to
        be had again as well. Anything else is a mistake in the program and is raised again.
        lost: who could not be served for it, in words.
        """
        if isinstance(error, MemoryError):
            self._reserve = None  # first of all: to say so takes memory
            self._missed = time.monotonic()
        number = error.errno if isinstance(error, OSError) else None
        if isinstance(error, RuntimeError) and "start new thread" in str(error):
            number = errno.EAGAIN  # all that `threading` says of it
        elif isinstance(error, MemoryError):
            number = errno.ENOMEM
        if number not in SHORTAGES:
            raise error
        self.pause()
        with suppress(MemoryError):  # another thread may have used up what was put by
            self._warn(f"out of {SHORTAGES[number]}; {lost}new clients wait until there is room")
