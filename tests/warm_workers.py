"""Load workers that are forked from one process that has imported the engine, for many short runs.

An interpreter and its imports for each take more than the few messages that most tests of the
engine are about. How workers start, end and are lost in truth, `test_conductor` looks at.
"""

import gc
import os
import select
import signal
import socket
import subprocess
import sys
from functools import cache
from multiprocessing import Pipe
from typing import Final

from loadgen.engine.share import Share
from loadgen.fleet import worker
from loadgen.fleet.clocks import OwnClock
from loadgen.fleet.here import Here
from loadgen.fleet.place import Started
from tests.servers import ROOT, WAIT_SECONDS

PID_BYTES: Final = 8


class Warm(Here):
    """This machine, where workers are forked."""

    def start(self, share: Share) -> Started:
        return Forked(share.worker)


class Forked:
    """A worker that is a grandchild of this process."""

    clock = OwnClock()

    def __init__(self, number: int) -> None:
        self.name = f"load worker {number + 1}"
        self.line, theirs = Pipe()
        with theirs:
            # It waits for its share, so that it is there to be opened.
            self._process = os.pidfd_open(parent().fork(theirs.fileno()))

    def lost(self) -> None:
        """This machine cannot be lost."""

    def how_it_ended(self) -> str:
        return "ended"

    def end(self) -> None:
        self.line.close()
        ended, _, _ = select.select([self._process], [], [], WAIT_SECONDS)
        if not ended:
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
        os.close(self._process)
        assert ended, f"{self.name} went on"


class Parent:
    """The process that workers are forked from, as ours sees it."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm_workers", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd=ROOT,
            )

    def fork(self, line: int) -> int:
        """Have a worker forked with that line, and return its id."""
        socket.send_fds(self._orders, [b"."], [line])
        return int.from_bytes(self._orders.recv(PID_BYTES), "big")

    def close(self) -> None:
        self._orders.close()
        self._process.wait(WAIT_SECONDS)


@cache
def parent() -> Parent:
    """The one of this process, started when it is first needed."""
    return Parent()


WARM: Final = Warm()


def fork_on_demand(descriptor: int) -> None:
    """Be that process, until the orders end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who has ended is nobody's to wait for
    gc.freeze()
    with socket.socket(fileno=descriptor) as orders:
        while lines := socket.recv_fds(orders, 1, 1)[1]:
            pid = os.fork()
            if pid == 0:
                orders.close()
                try:
                    worker.work(lines[0])
                finally:
                    os._exit(0)
            os.close(lines[0])
            orders.send(pid.to_bytes(PID_BYTES, "big"))


if __name__ == "__main__":
    fork_on_demand(int(sys.argv[1]))
