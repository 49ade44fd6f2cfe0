"""Worker processes with an event loop each: start together, measure one window together, add up.

The parent puts no load on. It tells every worker the same clock readings for the start and for the
window, passes on what they report, and always ends them. A worker whose parent is gone ends by
itself.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from loadgen.engine.client import SECOND
from loadgen.engine.group_load import Share
from loadgen.engine.loop import Engine, ParentGoneError, WorkerSnapshot
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
# A worker has this long to hand in its tally after the load has ended.
HAND_IN_SECONDS = 10.0
START_SECONDS = 60.0
# Descriptors of a worker beside its clients': standard streams, control line, poller, imports.
OTHER_DESCRIPTORS = 32
# What Linux leaves unused of a range when all clients come from one address: the server's own port
# and whatever else runs on the machine.
USABLE_PORTS = 0.9
# Connections closed by the client keep their port for 60 s (TIME_WAIT); on loopback Linux takes it
# again after 1 s (tcp_tw_reuse). So many connections/s are reckoned with under churn.
CHURN_PER_SECOND = 50_000
TIME_WAIT_SECONDS = 60
REUSE_SECONDS = 2
MOST_SOURCES = 64


class LoadError(Exception):
    """The load could not be put on; its text is a sentence for a person."""


class Stop(Protocol):
    """What ends a run early: a threading.Event or its like."""

    def is_set(self) -> bool: ...
    def set(self) -> None: ...


@dataclass(frozen=True)
class WindowOpened:
    """The measured window is open. `monotonic` is its time.monotonic()."""

    monotonic: float


@dataclass(frozen=True)
class WindowClosed:
    """The measured window is over. `monotonic` is its time.monotonic()."""

    monotonic: float


@dataclass(frozen=True)
class Snapshot:
    """How the run is doing.

    `seconds` since the load started; `answered`, `connected` and `served` since then; `rate` in
    messages/s since the snapshot before; `p99` of the response time in seconds, of the window so
    far (of the warm-up before it), or None.
    """

    seconds: float
    answered: int
    rate: float
    p99: float | None
    connected: int
    served: int


Event = WindowOpened | WindowClosed | Snapshot


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
        return _Conductor(plan, workers, on_event or _ignore, stop).conduct()


def _ignore(event: Event) -> None:
    pass


class Worker:
    """A worker process as its parent sees it."""

    def __init__(self, share: Share) -> None:
        self.number = share.worker
        self.connected_at: int | None = None
        self.awaiting: int | None = None
        self.snapshot: WorkerSnapshot | None = None
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


# In the worker

WORKER_PROGRAM = "import sys; from loadgen.fleet.conductor import work; work(int(sys.argv[1]))"


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


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files to the hard one, for this process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _wake_precisely() -> None:
    """Ask Linux not to add its usual 50 us to a sleep, which an open loop would show."""
    with contextlib.suppress(OSError):
        Path("/proc/self/timerslack_ns").write_text("1")


def _pin(worker: int) -> None:
    cores = worker_cores(worker + 1)
    if cores:
        os.sched_setaffinity(0, {cores[worker]})


def worker_cores(workers: int) -> list[int]:
    """The core of each worker under `pin`, from the last one down; [] where none can be set."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    cores = sorted(os.sched_getaffinity(0), reverse=True)
    return [cores[number % len(cores)] for number in range(workers)]


# Before the run


def descriptor_problem(plan: Plan) -> str | None:
    """Why the limit of open files does not allow the plan and what to do about it, or None."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(Share(plan, Endpoint("inet"), number).clients for number in range(plan.workers))
    needed = most + OTHER_DESCRIPTORS
    if hard == resource.RLIM_INFINITY or needed <= hard:
        return None
    return (
        f"{plan.clients} clients over {plan.workers} workers need {needed} open files in a "
        f"process, but the hard limit is {hard}: raise it with `ulimit -Hn {needed}` (as root), "
        f"use fewer clients, or more workers"
    )


def ephemeral_ports() -> tuple[int, int]:
    """The range of ports that the kernel takes for clients, both ends included."""
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except (OSError, ValueError):
        # RFC 6335: the range for dynamic ports where the kernel says no other.
        return 49152, 65535
    return int(low), int(high)


def ports_needed(plan: Plan, endpoint: Endpoint) -> int:
    """Ports held at the busiest moment, those in TIME_WAIT included; an estimate under churn."""
    lasting = plan.clients
    if all(group.messages_per_connection is None for group in plan.groups):
        return lasting
    held_for = REUSE_SECONDS if endpoint.is_loopback else TIME_WAIT_SECONDS
    return lasting + CHURN_PER_SECOND * held_for


def source_addresses(plan: Plan, endpoint: Endpoint) -> tuple[str, ...]:
    """Addresses of 127.0.0.0/8 to connect from when one address has too few ports; else ()."""
    if endpoint.family != "inet" or endpoint.transport != "tcp" or not endpoint.is_loopback:
        return ()
    if not sys.platform.startswith("linux"):
        # Elsewhere only 127.0.0.1 is configured.
        return ()
    low, high = ephemeral_ports()
    per_source = int((high - low + 1) * USABLE_PORTS)
    sources = -(-ports_needed(plan, endpoint) // per_source)
    if sources <= 1:
        return ()
    return tuple(f"127.0.1.{number + 1}" for number in range(min(sources * 2, MOST_SOURCES)))


def port_warning(plan: Plan, endpoint: Endpoint) -> str | None:
    """Why connects may fail for want of ports, and what to do about it, or None."""
    if endpoint.family == "unix":
        return None
    low, high = ephemeral_ports()
    available = high - low + 1
    needed = ports_needed(plan, endpoint)
    if source_addresses(plan, endpoint) or needed <= available * USABLE_PORTS:
        return None
    return (
        f"up to {needed} client ports may be held at once, those in TIME_WAIT included, and this "
        f"machine has {available} for one address ({low} to {high}): connections may fail with "
        "EADDRNOTAVAIL; "
        "use fewer clients or a lower rate, or widen net.ipv4.ip_local_port_range"
    )
