"""Load workers on this machine: processes of our own, with a pipe to each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe

from loadgen.engine.share import Share
from loadgen.fleet import worker
from loadgen.fleet.clocks import OwnClock
from loadgen.fleet.limits import descriptor_problem
from loadgen.fleet.place import Started
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.record.machine import MachineTally
from loadgen.record.tally import Tally


class Here:
    """This machine as a place for load workers."""

    def problem(self, plan: Plan, endpoint: Endpoint) -> str | None:  # noqa: ARG002
        return descriptor_problem(plan)

    def start(self, share: Share) -> Started:
        return _Child(share.worker)

    def by_machine(
        self,
        tallies: Sequence[tuple[Started, Tally]],  # noqa: ARG002 - it is one, and our own
        openings: Mapping[int, int],  # noqa: ARG002
    ) -> list[MachineTally]:
        return []


class _Child:
    """A worker process that is a child of this one."""

    clock = OwnClock()

    def __init__(self, number: int) -> None:
        self.name = f"load worker {number + 1}"
        self.line, theirs = Pipe()
        with theirs:
            # A plain interpreter rather than multiprocessing's: nothing of the caller's program is
            # imported again, and a session of its own keeps the terminal's Ctrl-C from it.
            self._process = subprocess.Popen(
                worker.command(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )

    def lost(self) -> None:
        """This machine cannot be lost."""

    def how_it_ended(self) -> str:
        try:
            return how_it_ended(self._process.wait(timeout=worker.SILENT_SECONDS))
        except subprocess.TimeoutExpired:
            return how_it_ended(None)

    def end(self) -> None:
        """End it and reap it."""
        self.line.close()
        end_process(self._process)


def end_process(process: subprocess.Popen[bytes]) -> int:
    """End a worker whose line is closed, and reap it; return its status."""
    try:
        # Its line is gone, so it ends by itself unless it is stuck.
        return process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def how_it_ended(code: int | None) -> str:
    """A process's exit status as the rest of a sentence; None for one that has not ended."""
    if code is None:
        return "closed its line and went on"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended before its time with exit status {code}"


HERE = Here()
