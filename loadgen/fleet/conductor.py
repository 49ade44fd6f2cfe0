"""Worker processes with an event loop each: start together, measure one window together, add up.

The parent puts no load on. It tells every worker the same clock readings for the start and for the
window, passes on what they report, and always ends them. A worker whose parent is gone ends by
itself.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Any, Protocol

from loadgen.engine.clock import SECOND
from loadgen.engine.control import WorkerSnapshot
from loadgen.engine.share import Share
from loadgen.fleet.events import Event, Snapshot, WindowClosed, WindowOpened
from loadgen.fleet.limits import descriptor_problem, source_addresses
from loadgen.fleet.worker import Worker
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError
from loadgen.record.histogram import Histogram
from loadgen.record.tally import Tally, merge_tallies

# From the order to start until the start: for the slowest worker to have heard it.
START_MARGIN_NS = SECOND // 50
REPORT_SECONDS = 0.25
LOOK_SECONDS = 0.1
# In the warm-up, workers are asked so often how many of their clients await their first reply.
ASK_SECONDS = 0.05
# A server that starts a process for each client, on a busy machine, takes seconds to start 100, and
# whom it gets to late would look badly served. Longer than this, it is the server's own doing.
LONGER_WARMUP_SECONDS = 5.0
# Those who wait are starved, and not about to be served, once nobody's wait has ended for so long:
# less than the usual warm-up, which they then do not prolong.
STARVED_SECONDS = 0.4
START_SECONDS = 60.0


class LoadError(Exception):
    """The load could not be put on; its text is a sentence for a person."""


class Stop(Protocol):
    """What ends a run early: a threading.Event or its like."""

    def is_set(self) -> bool: ...
    def set(self) -> None: ...


def run_load(
    plan: Plan,
    endpoint: Endpoint,
    *,
    on_event: Callable[[Event], None] | None = None,
    stop: Stop | None = None,
) -> Tally:
    """Put the plan's load on the server at `endpoint` and return what happened.

    Blocks for the length of the run. `on_event` is called in this thread. A set `stop`, or Ctrl-C
    where this is the main thread, ends the run early: the tally is then marked `cut_short`. A
    second Ctrl-C gives up at once.

    Raises PlanError for a plan or an endpoint that makes no sense, and LoadError when no worker
    could measure. Where some workers could, their tally is returned and its `stopped_early` names
    what became of the others.
    """
    plan.validate()
    endpoint.validate()
    plan.validate_against(endpoint)
    endpoint = endpoint.resolved()
    problem = descriptor_problem(plan)
    if problem:
        raise PlanError(problem)
    sources = source_addresses(plan, endpoint)
    stop = stop or threading.Event()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_interrupt_sets(stop))
        workers = []
        for number in range(plan.workers):
            worker = Worker(Share(plan, endpoint, number, sources))
            stack.callback(worker.end)
            workers.append(worker)
        return _Conductor(plan, workers, on_event or ignore, stop).conduct()


def ignore(event: Event) -> None:
    """Take note of nothing."""


class _Conductor:
    """Leads the workers through one run."""

    def __init__(
        self, plan: Plan, workers: list[Worker], on_event: Callable[[Event], None], stop: Stop
    ) -> None:
        self._plan = plan
        self._workers = workers
        self._on_event = on_event
        self._stop = stop
        self._stopping = False
        self._started = 0
        self._window: tuple[int, int] | None = None
        self._asked_at = 0
        self._fewest_awaiting = math.inf
        self._fewer_at = 0
        self._announced_open = self._announced_close = False
        self._reported_at = 0.0
        self._reported_answered = 0

    def conduct(self) -> Tally:
        self._gather_ready()
        self._started = time.monotonic_ns() + START_MARGIN_NS
        self._tell_all("go", self._started)
        if self._plan.messages_per_client is not None:
            self._window = (self._started, self._started)
        self._reported_at = self._started / SECOND
        while not all(worker.done for worker in self._workers):
            self._listen(self._until_next_look())
            self._heed_stop()
            self._open_window()
            self._announce()
        return self._add_up()

    def _until_next_look(self) -> float:
        """Seconds to listen at most.

        The window's ends are announced on time, for the caller reads the server's CPU then: 0.1 s
        late would be 3 % of a window of 3 s.
        """
        if self._window is None:
            return ASK_SECONDS
        if self._announced_close:
            return LOOK_SECONDS
        opens, closes = self._window
        if self._announced_open and closes == opens:  # it closes when the workers are done
            return LOOK_SECONDS
        edge = closes if self._announced_open else opens
        return min(LOOK_SECONDS, max(0.0, edge / SECOND - time.monotonic()))

    def _tell_all(self, kind: str, value: Any = None) -> None:
        for worker in self._workers:
            if not worker.done:
                worker.tell(kind, value)

    def _gather_ready(self) -> None:
        """Wait until every worker is set up, so that all start together."""
        for worker in self._workers:
            if not worker.line.poll(START_SECONDS):
                raise LoadError(f"load worker {worker.number + 1} did not start")
            if worker.hear() != "ready":
                raise LoadError(worker.failure or f"load worker {worker.number + 1} did not start")

    def _listen(self, seconds: float) -> None:
        lines = {worker.line: worker for worker in self._workers if not worker.done}
        for line in wait(list(lines), seconds):
            assert isinstance(line, Connection)
            lines[line].hear()

    def _heed_stop(self) -> None:
        if self._stop.is_set() and not self._stopping:
            self._stopping = True
            self._tell_all("stop")

    def _open_window(self) -> None:
        """Once all clients of all workers are connected and warmed up, say when the window is."""
        if self._window is not None or self._plan.duration_seconds is None:
            return
        present = [worker for worker in self._workers if not worker.done]
        connected = [worker.connected_at for worker in present if worker.connected_at is not None]
        if not present or len(connected) < len(present):
            return
        opens = max(connected) + round(self._plan.warmup_seconds * SECOND)
        if self._plan.warmup_seconds and not self._warm(present, opens):
            return
        opens = max(opens, time.monotonic_ns() + START_MARGIN_NS)
        self._window = (opens, opens + round(self._plan.duration_seconds * SECOND))
        self._tell_all("window", self._window)

    def _warm(self, present: list[Worker], opens: int) -> bool:
        """Whether the window may open when it is to, or at once where that has passed.

        The warm-up goes on while clients await their first reply and some still get it. Those of an
        open loop are not waited for, since their turns come by the clock.
        """
        now = time.monotonic_ns()
        known = [worker.awaiting for worker in present if worker.awaiting is not None]
        if len(known) == len(present):
            awaiting = sum(known)
            if not awaiting:
                return True
            if awaiting < self._fewest_awaiting:
                self._fewest_awaiting, self._fewer_at = awaiting, now
        if now >= opens - START_MARGIN_NS:
            starved = now >= self._fewer_at + STARVED_SECONDS * SECOND
            if starved or now >= opens + LONGER_WARMUP_SECONDS * SECOND:
                return True
        if now >= self._asked_at + ASK_SECONDS * SECOND:
            self._asked_at = now
            self._tell_all("ask")
        return False

    def _announce(self) -> None:
        """Tell the caller what has come to pass since the last time."""
        now = time.monotonic()
        opens = self._window[0] / SECOND if self._window is not None else math.inf
        if now >= opens and not self._announced_open:
            self._announced_open = True
            self._on_event(WindowOpened(opens))
        if self._announced_open and not self._announced_close and self._over(now):
            self._announced_close = True
            self._on_event(WindowClosed(now))
        if now >= self._reported_at + REPORT_SECONDS:
            snapshots = [worker.snapshot for worker in self._workers if worker.snapshot]
            if snapshots:
                self._report(now, snapshots)

    def _over(self, now: float) -> bool:
        if self._stopping or all(worker.done for worker in self._workers):
            return True
        assert self._window is not None
        return self._window[1] > self._window[0] and now >= self._window[1] / SECOND

    def _report(self, now: float, snapshots: Sequence[WorkerSnapshot]) -> None:
        answered = sum(snapshot.answered for snapshot in snapshots)
        rate = (answered - self._reported_answered) / (now - self._reported_at)
        self._reported_at, self._reported_answered = now, answered
        self._on_event(
            Snapshot(
                seconds=now - self._started / SECOND,
                answered=answered,
                rate=rate,
                p99=Histogram.merged(snapshot.response for snapshot in snapshots).percentile(99),
                connected=sum(snapshot.connected for snapshot in snapshots),
                served=sum(snapshot.served for snapshot in snapshots),
            )
        )

    def _add_up(self) -> Tally:
        failures = [worker.failure for worker in self._workers if worker.failure]
        tallies = [worker.tally for worker in self._workers if worker.tally]
        if not tallies:
            raise LoadError(failures[0])
        tally = merge_tallies(tallies)
        if failures:
            tally.stopped_early = f"{failures[0]}; its clients are missing from the figures"
        return tally


@contextlib.contextmanager
def _interrupt_sets(stop: Stop) -> Iterator[None]:
    """While this lasts, the first Ctrl-C sets `stop`; the second one is a KeyboardInterrupt."""
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
