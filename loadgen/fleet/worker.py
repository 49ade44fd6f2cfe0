"""A worker process: as its parent sees it, and what it does. Words go between them over a pipe.

The parent says `share`, `go`, `ask`, `window`, `hold`, `end` and `stop`; the worker says `ready`,
`connected`, `awaiting`, `snapshot`, `held` and, last of all, `tally` or `failure`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
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

# A worker has this long to hand in its tally after the load has ended.
HAND_IN_SECONDS = 10.0


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
        self.line, theirs = Pipe()
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
        try:
            kind, value = self.line.recv()
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

    def _how_it_ended(self) -> str:
        try:
            code = self.process.wait(timeout=HAND_IN_SECONDS)
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
