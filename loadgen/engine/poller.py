"""Which descriptors are ready, and who hears of it: epoll(7), or poll(2) where there is none."""

import select
from typing import Any, Protocol

from loadgen.engine.clock import SECOND

# The values of poll(2) and epoll(7) are the same for these.
READABLE, WRITABLE = 1, 4


class Handler(Protocol):
    """Who hears of a descriptor's events; the hot loop itself acts for one that is `steady`."""

    steady: bool

    def ready(self, event: int, /) -> None:
        """The descriptor is ready for what the bits of `event` say."""


class Nobody:
    """Stands for a descriptor that was closed while events of it were still in the batch."""

    __slots__ = ()
    steady = False

    def ready(self, _event: int) -> None:
        """Nobody cares."""


NOBODY = Nobody()


class Poll:
    """select.poll in the manner of select.epoll."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self.register = self._poll.register
        self.modify = self._poll.modify
        self.unregister = self._poll.unregister

    def poll(self, timeout: float, _maxevents: int) -> list[tuple[int, int]]:
        """What is ready within so many seconds; only epoll can bound how much that is."""
        return self._poll.poll(timeout * 1000)

    def close(self) -> None:
        """Nothing to close: poll(2) keeps no descriptor."""


class Poller:
    """The descriptors of one loop. `close` it at the end.

    `poll(timeout_seconds, most)` gives pairs of a descriptor and an event; `by_fd` has the handler
    of each descriptor at its place, a list since indexing one is quicker than a dict's look-up. It
    grows in place.
    """

    def __init__(self) -> None:
        self._set: Any = select.epoll() if hasattr(select, "epoll") else Poll()
        self._set_fd = self._set.fileno() if hasattr(self._set, "fileno") else None
        # A closed descriptor leaves an epoll set by itself, which saves churn a system call.
        self._unregisters = self._set_fd is None
        self.poll = self._set.poll
        # Any: the hot loop asks more of a steady handler than Handler has.
        self.by_fd: list[Any] = [NOBODY] * 1024

    def register(self, fd: int, handler: Handler, events: int) -> None:
        """Have the handler hear of these events."""
        while fd >= len(self.by_fd):
            self.by_fd.extend([NOBODY] * len(self.by_fd))
        self.by_fd[fd] = handler
        self._set.register(fd, events)

    def modify(self, fd: int, events: int) -> None:
        """Have the handler of a registered descriptor hear of other events."""
        self._set.modify(fd, events)

    def unregister(self, fd: int) -> None:
        """Hear no more of a descriptor that is about to be closed, whether it is registered or not.

        Events of it that are in the batch already go to nobody.
        """
        if fd < len(self.by_fd) and self.by_fd[fd] is not NOBODY:
            self.by_fd[fd] = NOBODY
            if self._unregisters:
                self._set.unregister(fd)

    def wait_finely(self, wait_ns: int, most: int) -> list[tuple[int, int]]:
        """Wait at most so long for an event, to the microsecond where there is epoll."""
        if self._set_fd is None:
            return self._set.poll(wait_ns / SECOND, most)  # type: ignore[no-any-return]
        select.select((self._set_fd,), (), (), wait_ns / SECOND)
        return self._set.poll(0, most)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Give the descriptor of the set back."""
        self._set.close()
