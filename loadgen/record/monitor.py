"""What the server costs: CPU, memory, threads and processes of its whole process tree.

CPU counts from reading to reading, and includes children that came and went (the kernel adds a
child's time to its parent's once it is reaped). Memory is PSS where the system has it, since summed
RSS counts shared pages once per process. Watching costs CPU too: after each sample the monitor
rests so long that it stays under 5 % of one core, and it says what it used.
"""

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import psutil

from loadgen.record import effort
from loadgen.record.effort import Effort
from loadgen.record.number import Count

_SHARE = 0.05  # of one core, at most
_SHORTEST_REST = 0.1
_MOST_SAMPLES = 600
# Of one core, for looks at who waits for a lock while the load is on.
_LOCKS_SHARE = 0.02
_LOCKS_REST = 0.1


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the tree, `seconds` after the window opened (negative before it).

    `cpu_seconds` counts from the tree's start; `memory_bytes` is None when it was too soon to look.
    """

    seconds: float
    cpu_seconds: float
    memory_bytes: Count | None
    threads: Count
    processes: Count


@dataclass(frozen=True, slots=True)
class TurnCost:
    """What a turn cost the server's tree, and what the wait before it did, while others had theirs.

    CPU seconds used within so many `seconds`, and within the `waited_seconds` since its load was
    last taken off; None where they could not be read. `stolen_seconds` of CPU a hypervisor gave to
    other guests within the turn; `answered` is how many messages were answered in those `seconds`,
    which begin before the turn's window opens and end when its last reply has come. None in results
    of versions that did not note them.
    """

    round: Count
    seconds: float
    cpu_seconds: float | None
    waited_seconds: float
    waited_cpu_seconds: float | None
    stolen_seconds: float | None = None
    answered: Count | None = None


@dataclass(frozen=True, slots=True)
class ServerCost:
    """What one run cost the server and the machine. None stands for what was not measured.

    `cpu_seconds` was used by the server's tree within `measured_seconds`, between two readings
    taken as the measured window opened and closed. `memory_bytes`, `threads` and `processes` are
    peaks over the run, `memory_kind` is "pss", "uss" or "rss". `machine_busy_seconds` is what all
    processors together spent on anything in those `measured_seconds`, `machine_stolen_seconds` what
    a hypervisor gave to other guests. `effort` is what the kernel counted of the tree in them, and
    `gil_waiters` how many threads waited as they do for the GIL, on average over some looks; None
    where no process has several threads. `monitor_cpu_seconds` is the price of this watching.
    `note` says why something is missing. `turns` has an entry for each turn of a server that took
    turns with others, and the sums above are over them.
    """

    cpu_seconds: float | None = None
    measured_seconds: float | None = None
    memory_bytes: Count | None = None
    memory_kind: str | None = None
    threads: Count | None = None
    processes: Count | None = None
    machine_busy_seconds: float | None = None
    machine_stolen_seconds: float | None = None
    effort: Effort = field(default_factory=Effort)
    gil_waiters: float | None = None
    monitor_cpu_seconds: float | None = None
    note: str | None = None
    samples: tuple[Sample, ...] = ()
    turns: tuple[TurnCost, ...] = ()


class Monitor:
    """Watches the process tree under `pid`; without one, the machine.

    As a context manager it samples from a thread of its own inside the `with` block. Call
    `window_opened` and `window_closed` as the load generator says so; `cost` gives the result at
    any time after that. A tree that ends early, or that may not be looked at, leaves None and a
    note, never an error.

    Of a server that takes turns, call them just before the load of a turn is put on and after it
    was taken off, and `load_taken_off` where that is no turn's end. Without the thread, nothing is
    looked at while it waits, nor while it is measured.
    """

    def __init__(self, pid: int | None, note: str | None = None) -> None:
        self._note = note
        self._tree: ProcessTree | None = None
        self._samples: list[Sample] = []
        self._opened: _Reading | None = None
        # When the window opened for the first time, and the sums over all of them.
        self._origin: float | None = None
        self._windows: list[_Spent] = []
        # Since when the load is off, and what was spent in each wait and each turn.
        self._resting: _Reading | None = None
        self._waited: _Spent | None = None
        self._turns: list[TurnCost] = []
        self._waiters: list[int] = []
        self._pids: list[int] = []
        self._locks_stop = threading.Event()
        self._peak_memory: int | None = None
        self._cpu_used = 0.0
        self._memory_due = 0.0
        self._rest = _SHORTEST_REST
        self._started = time.monotonic()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="monitor", daemon=True)
        if pid is not None:
            try:
                self._tree = ProcessTree(pid)
            except psutil.Error as error:
                self._note = f"the server's process {pid} cannot be watched: {error}"

    def __enter__(self) -> "Monitor":
        if self._tree is not None:
            self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._locks_stop.set()  # a window that Ctrl-C cut short was not closed
        if self._thread.ident is not None:
            self._thread.join()

    def window_opened(self) -> None:
        """Take a reading: the measured window opened just now."""
        with self._lock:
            self._opened = self._reading()
            if self._origin is None:
                self._origin = self._opened.at
            if self._resting is not None:
                self._waited = self._resting.until(self._opened)
            self._watch_locks()
            if self._peak_memory is None:  # else the first look may come too late for a short run
                self._sample(self._opened)

    def window_closed(self, turn: int | None = None, answered: int | None = None) -> None:
        """Take a reading: the measured window closed just now, which was the turn of that round.

        Since it opened, so many messages were `answered`.
        """
        with self._lock:
            if self._opened is None:
                return
            self._locks_stop.set()
            self._resting = self._reading()
            spent = self._opened.until(self._resting)
            self._windows.append(spent)
            if turn is not None:
                waited = self._waited or _Spent(0.0, None, 0.0, 0.0)
                self._turns.append(
                    TurnCost(
                        turn,
                        spent.seconds,
                        spent.cpu,
                        waited.seconds,
                        waited.cpu,
                        spent.machine_stolen,
                        answered,
                    )
                )
            self._opened = self._waited = None
            self._sample(self._resting)  # a short run may have come and gone between two looks

    def load_taken_off(self) -> None:
        """Take a reading: after the warm-up, the server waits for its first turn from now on."""
        with self._lock:
            self._resting = self._reading()

    def cost(self) -> ServerCost:
        """What was measured, so far or for good."""
        with self._lock:
            windows, tree = self._windows, self._tree
            origin = self._started if self._origin is None else self._origin
            samples = [
                Sample(s.seconds - origin, s.cpu_seconds, s.memory_bytes, s.threads, s.processes)
                for s in self._samples
            ]
            cpu = [window.cpu for window in windows if window.cpu is not None]
            return ServerCost(
                cpu_seconds=sum(cpu) if windows and len(cpu) == len(windows) else None,
                measured_seconds=sum(one.seconds for one in windows) if windows else None,
                memory_bytes=self._peak_memory,
                memory_kind=tree.memory_kind if tree and self._peak_memory is not None else None,
                threads=max((sample.threads for sample in samples), default=None),
                processes=max((sample.processes for sample in samples), default=None),
                machine_busy_seconds=sum(one.machine_busy for one in windows) if windows else None,
                machine_stolen_seconds=(
                    sum(one.machine_stolen for one in windows) if windows else None
                ),
                effort=effort.total(one.effort for one in windows),
                gil_waiters=mean(self._waiters) if self._waiters else None,
                monitor_cpu_seconds=self._cpu_used if tree else None,
                note=self._note,
                samples=tuple(samples),
                turns=tuple(self._turns),
            )

    def _watch_locks(self) -> None:
        """Look, until the window closes, how many threads wait for a lock."""
        pids = effort.threaded(self._pids)
        if not pids:
            return
        self._locks_stop = stop = threading.Event()

        def watch() -> None:
            rest = _LOCKS_REST / 2
            while not stop.wait(rest):
                before = time.thread_time()
                found = effort.lock_waiters(pids)
                used = time.thread_time() - before
                self._cpu_used += used
                if found is None:
                    return
                self._waiters.append(found)
                rest = max(_LOCKS_REST, used / _LOCKS_SHARE)

        threading.Thread(target=watch, name="locks", daemon=True).start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                if not self._sample(self._look()):
                    return
            self._stop.wait(self._rest)

    def _look(self) -> "_Looked":
        """Look at the tree, which means to look through all processes of the machine."""
        before, at = time.thread_time(), time.monotonic()
        look = self._tree.look() if self._tree else None
        used = time.thread_time() - before
        self._cpu_used += used
        return _Looked(at, look, used)

    def _sample(self, looked: "_Looked") -> bool:
        """Keep what was seen, and memory when that is due again; False when the tree has ended."""
        if self._tree is None:
            return False
        now, look = looked.at, looked.look
        if look is None:
            self._note = self._note or "the server's process ended during the run"
            return False
        memory = None
        if now >= self._memory_due:
            before = time.thread_time()
            memory = self._tree.memory_bytes()
            used = time.thread_time() - before
            self._cpu_used += used
            if memory is not None:
                self._peak_memory = max(memory, self._peak_memory or 0)
                self._memory_due = now + 2 * used / _SHARE  # half of the share to each kind
        self._rest = max(_SHORTEST_REST, 2 * looked.used / _SHARE)
        self._samples.append(Sample(now, look.cpu_seconds, memory, look.threads, look.processes))
        if len(self._samples) > _MOST_SAMPLES:  # a long run: keep every second one
            del self._samples[::2]
        return True

    def _reading(self) -> "_Reading":
        looked = self._look()
        busy, stolen = machine_cpu_seconds()
        self._pids = list(looked.look.pids) if looked.look else []
        counts = effort.read(self._pids)
        return _Reading(time.monotonic(), looked.look, looked.used, busy, stolen, counts)


@dataclass(frozen=True)
class _Looked:
    """A look at a tree, None once that has ended, and the CPU seconds that it took to look."""

    at: float
    look: "Look | None"
    used: float


@dataclass(frozen=True)
class _Reading(_Looked):
    machine_busy: float
    machine_stolen: float
    counts: effort.Counts | None

    def until(self, later: "_Reading") -> "_Spent":
        """What was spent between this reading and a later one."""
        cpu = None
        if self.look is not None and later.look is not None:
            cpu = later.look.cpu_seconds - self.look.cpu_seconds
        return _Spent(
            later.at - self.at,
            cpu,
            later.machine_busy - self.machine_busy,
            later.machine_stolen - self.machine_stolen,
            effort.between(self.counts, later.counts),
        )


@dataclass(frozen=True)
class _Spent:
    """Between two readings: seconds that passed, CPU seconds of the tree and of the machine.

    `effort` is the tree's.
    """

    seconds: float
    cpu: float | None
    machine_busy: float
    machine_stolen: float
    effort: Effort = field(default_factory=Effort)


@dataclass(frozen=True)
class Look:
    """A process tree at one moment: CPU since its start, threads and processes alive.

    `pids` are those of all its processes, the root's first.
    """

    cpu_seconds: float
    threads: int
    processes: int
    pids: tuple[int, ...]


class ProcessTree:
    """A process and all its descendants. Raises psutil.NoSuchProcess when there is none."""

    def __init__(self, pid: int) -> None:
        self.root = psutil.Process(pid)
        self.memory_kind = "pss"

    def look(self) -> Look | None:
        """CPU, threads and processes now; None once the root has ended or may not be read."""
        cpu, threads, processes = 0.0, 0, 0
        try:
            members = self.members()
            for process in members:
                try:
                    with process.oneshot():
                        times = process.cpu_times()
                        count = process.num_threads()
                        alive = process.status() != psutil.STATUS_ZOMBIE
                except psutil.Error:
                    if process == self.root:
                        raise
                    continue
                own = times.user + times.system
                if count == 1:
                    # In ticks of 10 ms, each of 100 children did nothing in half a second.
                    own = max(own, effort.ran_seconds(process.pid))
                cpu += own + times.children_user + times.children_system
                if alive:
                    threads += count
                    processes += 1
        except psutil.Error:
            return None
        pids = tuple(process.pid for process in members)
        return Look(cpu, threads, processes, pids) if processes else None

    def memory_bytes(self) -> int | None:
        """Memory of the whole tree, by the best measure that the system gives for every member.

        PSS shares a page's size among its users, USS leaves shared pages out, RSS counts them once
        per process. A member that ended meanwhile is left out; None when nothing could be read.
        """
        try:
            members = self.members()
        except psutil.Error:
            return None
        sizes = [_memory(process, self.memory_kind) for process in members]
        for weaker in ("uss", "rss"):
            if any(size == _DENIED for size in sizes) and self.memory_kind != weaker:
                self.memory_kind = weaker
                sizes = [_memory(process, weaker) for process in members]
        known = [size for size in sizes if size is not None and size != _DENIED]
        return sum(known) if known else None

    def open_files(self) -> int:
        """How many descriptors all of them have open; those that may not be read have none."""
        count = 0
        with contextlib.suppress(psutil.Error):
            for process in self.members():
                with contextlib.suppress(psutil.Error, OSError):
                    count += _open_files(process)
        return count

    def pids(self) -> list[int]:
        """The process ids of all that are alive; none once the root has ended."""
        try:
            return [process.pid for process in self.members()]
        except psutil.Error:
            return []

    def members(self) -> Sequence[psutil.Process]:
        """The root first, then every descendant that is alive."""
        return [self.root, *self.root.children(recursive=True)]


def _open_files(process: psutil.Process) -> int:
    """How many descriptors a process has open.

    To list them has the kernel make an entry for each, which it keeps: Linux 6.2 and later say how
    many there are as the size of the folder.
    """
    with contextlib.suppress(OSError):
        if size := Path("/proc", str(process.pid), "fd").stat().st_size:
            return size
    return int(process.num_fds())


_DENIED = -1


def _memory(process: psutil.Process, kind: str) -> int | None:
    """One process's memory; _DENIED where this kind is not to be had, None where it has ended."""
    try:
        info = process.memory_info() if kind == "rss" else process.memory_full_info()
    except psutil.AccessDenied:
        return _DENIED
    except psutil.Error:
        return None
    return int(getattr(info, kind, _DENIED))


def machine_cpu_seconds() -> tuple[float, float]:
    """CPU seconds of all processors since boot: spent on anything, and stolen by a hypervisor."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    stolen = float(getattr(times, "steal", 0.0))
    # Guests' time is part of user and nice already.
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return total - idle - stolen, stolen
