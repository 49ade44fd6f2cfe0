"""A worker process: as its parent sees it, and what it does. Words go between them over a line.

The parent says `share`, `go`, `ask`, `window`, `hold`, `end` and `stop`; the worker says `ready`,
`connected`, `awaiting`, `snapshot`, `held` and, last of all, `tally` or `failure`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import sys
import time
import traceback
from multiprocessing.connection import Connection
from typing import Any

from loadgen.engine.control import ParentGoneError, WorkerSnapshot
from loadgen.engine.loop import Engine
from loadgen.engine.process import raise_descriptor_limit, wake_precisely
from loadgen.engine.share import Share
from loadgen.fleet.clocks import tally_by_our_clock, window_on
from loadgen.fleet.cores import worker_cores
from loadgen.fleet.place import Started
from loadgen.record.tally import Tally

# A worker that is not held says something four times a second. One that was silent for so long was
# stopped, or is stuck.
SILENT_SECONDS = 10.0
# Between two looks at whether its machine is still there.
LOOK_SECONDS = 0.1


class Worker:
    """A worker process as its parent sees it."""

    def __init__(self, share: Share, started: Started) -> None:
        self.number = share.worker
        self.started = started
        self.line = started.line
        # By our clock, in ns.
        self.connected_at: int | None = None
        self.awaiting: int | None = None
        self.snapshot: WorkerSnapshot | None = None
        # Is its load off, and every reply in that was on its way?
        self.held = False
        self.tally: Tally | None = None
        self.failure: str | None = None
        # When it was last heard of, or expected to be heard of from then on: time.monotonic().
        self.heard_at = time.monotonic()
        bound_reading(self.line, SILENT_SECONDS)
        self.tell("share", share)

    @property
    def done(self) -> bool:
        """True when nothing more will come from it."""
        return self.tally is not None or self.failure is not None

    def tell(self, kind: str, value: Any = None) -> None:
        """Send a word; one that is gone is noticed when it is listened to.

        Every moment in it is by our clock, and the worker is told what its own reads then.
        """
        if kind == "go":
            value = self.started.clock.theirs(value)
        elif kind == "window":
            value = window_on(self.started.clock, value)
        with contextlib.suppress(OSError):
            self.line.send((kind, value))

    def hear(self) -> str | None:
        """Take in one word and return its kind, or None when there was none to come."""
        self.heard_at = time.monotonic()
        try:
            kind, value = self.line.recv()
        except BlockingIOError:
            self.failure = f"{self.started.name} stopped in the middle of a word"
            return None
        except (EOFError, OSError):
            self.failure = f"{self.started.name} {self.started.how_it_ended()}"
            return None
        if kind == "connected":
            self.connected_at = self.started.clock.ours(value)
        elif kind == "awaiting":
            self.awaiting = value
        elif kind == "snapshot":
            self.snapshot = value
        elif kind == "held":
            self.held = True
        elif kind == "tally":
            tally_by_our_clock(value, self.started.clock)
            self.tally = value
        elif kind == "failure":
            self.failure = f"{self.started.name} failed: {value}"
        return str(kind)

    def wait_for_word(self, seconds: float) -> bool:
        """Wait for so long for there to be a word; not for one whose machine is lost meanwhile."""
        until = time.monotonic() + seconds
        while not self.line.poll(LOOK_SECONDS):
            if (lost := self.started.lost()) is not None:
                self.failure = f"{self.started.name} {lost}"
            if self.failure is not None or time.monotonic() > until:
                return False
        return True

    def check_time(self) -> None:
        """Give up on it when it should have been heard of and was not, or its machine is lost."""
        if self.done:
            return
        if (lost := self.started.lost()) is not None:
            self.failure = f"{self.started.name} {lost}"
        elif not self.held and time.monotonic() > self.heard_at + SILENT_SECONDS:
            self.failure = (
                f"{self.started.name} said nothing for {SILENT_SECONDS:g} s, as if it had been "
                "stopped"
            )

    def end(self) -> None:
        """End the process, if it has not ended."""
        self.started.end()


def bound_reading(line: Connection, seconds: float) -> None:
    """Have a read on the line end with BlockingIOError when nothing comes for so long; 0: never."""
    bound = struct.pack("ll", int(seconds), round(seconds % 1 * 1e6))  # a struct timeval
    with socket.socket(fileno=os.dup(line.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bound)


# In the worker

WORKER_PROGRAM = "import sys; from loadgen.fleet.worker import work; work(int(sys.argv[1]))"


def command(descriptor: int) -> list[str]:
    """What starts a worker whose line is at `descriptor`."""
    return [sys.executable, "-c", WORKER_PROGRAM, str(descriptor)]


def work(descriptor: int) -> None:
    """Be a worker: take a share from the line at `descriptor`, run it, hand in the tally."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Connection(descriptor) as line:
        try:
            _, share = line.recv()
            raise_descriptor_limit()
            wake_precisely()
            if share.plan.pin:
                _pin(share.worker)
            line.send(("tally", Engine(share, line).run()))
        except (ParentGoneError, EOFError, BrokenPipeError):
            return
        except Exception:  # noqa: BLE001 - the parent says what it was, and ends the run
            with contextlib.suppress(OSError):
                line.send(("failure", traceback.format_exc(limit=-4).strip()))
            raise SystemExit(1) from None


def _pin(worker: int) -> None:
    cores = worker_cores(worker + 1)
    if cores:
        os.sched_setaffinity(0, {cores[worker]})
