"""A worker process: as its parent sees it, and what it does. Words go between them over a pipe.

The parent says `share`, `go`, `ask`, `window`, `hold`, `end` and `stop`; the worker says `ready`,
`connected`, `awaiting`, `snapshot`, `held` and, last of all, `tally` or `failure`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import traceback
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from loadgen.engine.control import ParentGoneError, WorkerSnapshot
from loadgen.engine.loop import Engine
from loadgen.engine.share import Share
from loadgen.fleet.cores import worker_cores
from loadgen.fleet.limits import raise_descriptor_limit
from loadgen.record.tally import Tally

# A worker that is not held says something four times a second. One that was silent for so long was
# stopped, or is stuck.
SILENT_SECONDS = 10.0


class Worker:
    """A worker process as its parent sees it."""

    def __init__(self, share: Share) -> None:
        self.number = share.worker
        self.connected_at: int | None = None
        self.awaiting: int | None = None
        self.snapshot: WorkerSnapshot | None = None
        # Is its load off, and every reply in that was on its way?
        self.held = False
        self.tally: Tally | None = None
        self.failure: str | None = None
        # When it was last heard of, or expected to be heard of from then on: time.monotonic().
        self.heard_at = time.monotonic()
        self.line, theirs = Pipe()
        _bound_reading(self.line)
        with theirs:
            # A plain interpreter rather than multiprocessing's: nothing of the caller's program is
            # imported again, and a session of its own keeps the terminal's Ctrl-C from it.
            self.process = subprocess.Popen(
                [sys.executable, "-c", WORKER_PROGRAM, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self.tell("share", share)

    @property
    def done(self) -> bool:
        """True when nothing more will come from it."""
        return self.tally is not None or self.failure is not None

    def tell(self, kind: str, value: Any = None) -> None:
        """Send a word; one that is gone is noticed when it is listened to."""
        with contextlib.suppress(OSError):
            self.line.send((kind, value))

    def hear(self) -> str | None:
        """Take in one word and return its kind, or None when there was none to come."""
        self.heard_at = time.monotonic()
        try:
            kind, value = self.line.recv()
        except BlockingIOError:
            self.failure = f"load worker {self.number + 1} stopped in the middle of a word"
            return None
        except (EOFError, OSError):
            self.failure = f"load worker {self.number + 1} {self._how_it_ended()}"
            return None
        if kind == "connected":
            self.connected_at = value
        elif kind == "awaiting":
            self.awaiting = value
        elif kind == "snapshot":
            self.snapshot = value
        elif kind == "held":
            self.held = True
        elif kind == "tally":
            self.tally = value
        elif kind == "failure":
            self.failure = f"load worker {self.number + 1} failed: {value}"
        return str(kind)

    def check_time(self) -> None:
        """Give up on it when it should have been heard of and was not."""
        if not self.done and not self.held and time.monotonic() > self.heard_at + SILENT_SECONDS:
            self.failure = (
                f"load worker {self.number + 1} said nothing for {SILENT_SECONDS:g} s, as if it "
                "had been stopped"
            )

    def _how_it_ended(self) -> str:
        try:
            code = self.process.wait(timeout=SILENT_SECONDS)
        except subprocess.TimeoutExpired:
            return "closed its line and went on"
        if code < 0:
            return f"was ended by {signal.Signals(-code).name}"
        return f"ended before its time with exit status {code}"

    def end(self) -> None:
        """End the process, if it has not ended, and reap it."""
        self.line.close()
        try:
            # Its line is gone, so it ends by itself unless it is stuck.
            self.process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _bound_reading(line: Connection) -> None:
    """Have a read on the line end with BlockingIOError when nothing more comes for too long."""
    seconds = int(SILENT_SECONDS)
    bound = struct.pack("ll", seconds, round((SILENT_SECONDS - seconds) * 1e6))  # a struct timeval
    with socket.socket(fileno=os.dup(line.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bound)


# In the worker

WORKER_PROGRAM = "import sys; from loadgen.fleet.worker import work; work(int(sys.argv[1]))"


def work(descriptor: int) -> None:
    """Be a worker: take a share from the line at `descriptor`, run it, hand in the tally."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Connection(descriptor) as line:
        try:
            _, share = line.recv()
            raise_descriptor_limit()
            _wake_precisely()
            if share.plan.pin:
                _pin(share.worker)
            line.send(("tally", Engine(share, line).run()))
        except (ParentGoneError, EOFError, BrokenPipeError):
            return
        except Exception:  # noqa: BLE001 - the parent says what it was, and ends the run
            with contextlib.suppress(OSError):
                line.send(("failure", traceback.format_exc(limit=-4).strip()))
            raise SystemExit(1) from None


def _wake_precisely() -> None:
    """Ask Linux not to add its usual 50 us to a sleep, which an open loop would show."""
    with contextlib.suppress(OSError):
        Path("/proc/self/timerslack_ns").write_text("1")


def _pin(worker: int) -> None:
    cores = worker_cores(worker + 1)
    if cores:
        os.sched_setaffinity(0, {cores[worker]})
