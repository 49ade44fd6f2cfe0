"""What a server can run out of, and what it does then: new clients wait a little, nobody is lost.

Trying again at once would take all of a core; ten tries a second cost under 0.1 % of it.
"""

import errno
import time
from collections.abc import Callable
from typing import Final

PAUSE_SECONDS: Final = 0.1
"""How long new clients wait while descriptors, threads or processes are short."""

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
    errno.EAGAIN: "processes or threads (see 'ulimit -u')",
    errno.EPERM: "the right to start processes or threads",
}
"""What we can run out of: there will be room again once somebody leaves."""


class Shortage:
    """Whether something is short at the moment, so that new clients had better wait.

    warn: prints a line for whoever runs the server.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self.until = 0.0
        """Until when new clients wait, on the monotonic clock; 0.0 where nothing was ever short,
        which is asked before every client and costs no call."""

    def __bool__(self) -> bool:
        return self.seconds_left() > 0

    def seconds_left(self) -> float:
        """Return how long from now new clients should be left waiting; 0.0 when they need not."""
        if not self.until:
            return 0.0
        return max(0.0, self.until - time.monotonic())

    def pause(self) -> None:
        """Leave new clients waiting for `PAUSE_SECONDS`."""
        self.until = time.monotonic() + PAUSE_SECONDS

    def pause_after_accept(self, error: OSError) -> None:
        """Judge an error in accepting: a client that is gone costs no pause; see `pause_after`."""
        if error.errno not in CLIENT_GONE:
            self.pause_after(error)

    def pause_after(self, error: BaseException) -> None:
        """Judge an error in starting a thread or process.

        A shortage is reported and costs `PAUSE_SECONDS`. Anything else is a mistake in the program
        and is raised again.
        """
        number = error.errno if isinstance(error, OSError) else None
        if isinstance(error, RuntimeError) and "start new thread" in str(error):
            number = errno.EAGAIN  # all that `threading` says of it
        if number not in SHORTAGES:
            raise error
        self.pause()
        self._warn(f"out of {SHORTAGES[number]}; new clients wait until there is room")
