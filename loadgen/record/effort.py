"""What the kernel counts of a process tree: where a message's time goes, without a trace.

User and system time and page faults are kept for each process, and a child's are added to its
parent's once it is reaped. Switches, and how long a thread was runnable and did not run, are kept
for each thread and go with it: where threads have ended in between that used CPU worth mentioning,
those figures are not known. Only Linux counts all this; no rights are needed for one's own.
"""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from loadgen.record.number import Count

MOST_THREADS: Final = 2000
"""Of a tree with more, threads are not read one by one: that would take a tenth of a second."""

MISSED_SHARE: Final = 0.05
"""Of the CPU time that threads may have taken with them as they ended."""

TICK: Final = 1 / os.sysconf("SC_CLK_TCK")
"""Seconds, in which the kernel tells the times of a process."""

FUTEX: Final = {"x86_64": "202", "aarch64": "98"}.get(platform.machine())
"""The number of futex(2), by which threads wait for locks."""

CACHE_LINE: Final = 64
"""Bytes within which lie the words of one lock: glibc's threads wait by turns at two of them."""


@dataclass(frozen=True, slots=True)
class Effort:
    """What a tree took, over one stretch of time or several. None stands for what is not known.

    `runnable_seconds` is how long threads were ready to run and had no core.
    """

    user_seconds: float | None = None
    system_seconds: float | None = None
    page_faults: Count | None = None
    voluntary_switches: Count | None = None
    forced_switches: Count | None = None
    runnable_seconds: float | None = None


def total(efforts: Iterable[Effort]) -> Effort:
    """All of them together; what is not known of one is not known of all."""
    every = list(efforts)
    sums = {}
    for item in fields(Effort):
        values = [getattr(one, item.name) for one in every]
        sums[item.name] = sum(values) if values and None not in values else None
    return Effort(**sums)


@dataclass(frozen=True, slots=True)
class Task:
    """A thread's counts so far."""

    voluntary: int
    forced: int
    ran_seconds: float
    runnable_seconds: float


@dataclass(frozen=True, slots=True)
class Counts:
    """A tree's counts so far. `tasks` are by the number of the thread; None for too many."""

    user_seconds: float
    system_seconds: float
    page_faults: int
    tasks: Mapping[int, Task] | None


def read(pids: Iterable[int], proc: Path = Path("/proc")) -> Counts | None:
    """The counts of these processes and of the children that they have reaped.

    None where the system does not have them.
    """
    user = system = 0.0
    faults = 0
    found = False
    tasks: dict[int, Task] = {}
    for pid in pids:
        with suppress(OSError, ValueError, IndexError):  # it has ended, or is none of ours
            # See proc_pid_stat(5): the name, in brackets, may hold anything.
            stat = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
            faults += sum(map(int, stat[7:11]))
            user += (int(stat[11]) + int(stat[13])) * TICK
            system += (int(stat[12]) + int(stat[14])) * TICK
            found = True
            if len(tasks) < MOST_THREADS:
                tasks |= _tasks(proc / str(pid) / "task")
    if not found:
        return None
    return Counts(user, system, faults, tasks if len(tasks) < MOST_THREADS else None)


def _tasks(folder: Path) -> dict[int, Task]:
    found = {}
    for number in os.listdir(folder):  # noqa: PTH208 - names, and thousands of them
        with suppress(OSError, ValueError, IndexError):
            ran, runnable, _ = (folder / number / "schedstat").read_text().split()
            *_, voluntary, forced = (folder / number / "status").read_text().splitlines()
            found[int(number)] = Task(
                int(voluntary.split()[1]),
                int(forced.split()[1]),
                int(ran) / 1e9,
                int(runnable) / 1e9,
            )
    return found


def between(before: Counts | None, after: Counts | None) -> Effort:
    """What was taken between two readings."""
    if before is None or after is None:
        return Effort()
    user = max(0.0, after.user_seconds - before.user_seconds)
    system = max(0.0, after.system_seconds - before.system_seconds)
    faults = max(0, after.page_faults - before.page_faults)
    if before.tasks is None or after.tasks is None or before.tasks.keys() - after.tasks.keys():
        return Effort(user, system, faults)
    none = Task(0, 0, 0.0, 0.0)
    pairs = [(before.tasks.get(number, none), task) for number, task in after.tasks.items()]
    ran = sum(task.ran_seconds - one.ran_seconds for one, task in pairs)
    if ran < (1 - MISSED_SHARE) * (user + system) - 2 * TICK:
        return Effort(user, system, faults)
    if ran > user + system:
        # The kernel tells those of each process in whole ticks: less than one is nothing. Its
        # split of them is an estimate; where there was not a tick, that of all there were before.
        parts = (user, system) if user + system else (after.user_seconds, after.system_seconds)
        if sum(parts):
            user, system = (part * ran / sum(parts) for part in parts)
    return Effort(
        user,
        system,
        faults,
        sum(task.voluntary - one.voluntary for one, task in pairs),
        sum(task.forced - one.forced for one, task in pairs),
        sum(task.runnable_seconds - one.runnable_seconds for one, task in pairs),
    )


def ran_seconds(pid: int, proc: Path = Path("/proc")) -> float:
    """CPU time of a process that has but one thread, to the ns; 0.0 where it is not told."""
    with suppress(OSError, ValueError, IndexError):
        return int((proc / str(pid) / "schedstat").read_text().split()[0]) / 1e9
    return 0.0


def threaded(pids: Iterable[int], proc: Path = Path("/proc")) -> list[int]:
    """Those of the processes that have several threads."""
    found = []
    for pid in pids:
        with suppress(OSError):
            if len(os.listdir(proc / str(pid) / "task")) > 1:  # noqa: PTH208 - as above
                found.append(pid)
    return found


def lock_waiters(pids: Sequence[int], proc: Path = Path("/proc")) -> int | None:
    """How many threads wait at this moment as CPython's threads wait for the GIL.

    That is, with a time limit, and all at one lock: of each process, the threads at the lock that
    has most. None where that cannot be seen.
    """
    if FUTEX is None:
        return None
    total, seen = 0, False
    for pid in pids:
        locks: Counter[int] = Counter()
        with suppress(OSError):
            for number in os.listdir(proc / str(pid) / "task"):  # noqa: PTH208 - as above
                with suppress(OSError):
                    words = (proc / str(pid) / "task" / number / "syscall").read_text().split()
                    seen = True
                    # futex(word, operation, value, timeout, ...)
                    if words[0] == FUTEX and int(words[4], 16):
                        locks[int(words[1], 16) // CACHE_LINE] += 1
        total += max(locks.values(), default=0)
    return total if seen else None
