"""What connections weigh: memory of the server, of the load workers and of the kernel, for each.

And how many a server can hold here: the first of several limits to be met, with its name.
"""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import psutil

from loadgen.fleet.conductor import Fleet, Stop, interrupt_sets
from loadgen.fleet.events import Event
from loadgen.fleet.limits import (
    MOST_SOURCES,
    SERVER_DESCRIPTORS,
    USABLE_PORTS,
    ephemeral_ports,
)
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.plan import Plan
from loadgen.record import kernel
from loadgen.record.monitor import ProcessTree
from loadgen.record.tally import Tally
from loadgen.servers.found import find

# Fewer connections weigh too little to be told from what else goes on in the machine.
FEWEST_WEIGHED: Final = 200

# A server that has let nobody in for so long has let in all that it will.
GROWING_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.1
CLOSING_LOOK_SECONDS: Final = 0.5
LONGEST_CLOSING_SECONDS: Final = 60.0

# Bytes of memory that a connection may take in all, on the safe side: measured were 12 KiB with
# both ends here (10 of them the kernel's), 55 more with a thread. With a process it was 5 MiB
# when there were 2,000, and each took more the more there were.
LOOP_BYTES: Final = 14 * 1024
THREAD_BYTES: Final = 80 * 1024
PROCESS_BYTES: Final = 8 * 1024 * 1024
# How much of the memory that is free may be taken. The rest is for what comes and goes.
MEMORY_SHARE: Final = 0.7
# Processes and threads that the system has beside a server's.
OTHERS: Final = 2000


@dataclass(frozen=True)
class Weighing:
    """The plan's clients, weighed as they are all connected, before the window opens.

    Counts: `clients` that came, and how many of them the server `held`. For each of them, where
    they are many: `server_bytes_each` and `generator_bytes_each`, memory of the processes (PSS),
    of the generator with all that a process of its own takes; `kernel_bytes_each`, of both ends.
    """

    def put_on(
        self,
        plan: Plan,
        endpoint: Endpoint,
        *,
        on_event: Callable[[Event], None],
        stop: Stop,
    ) -> tuple[Tally, dict[str, float]]:
        server = find(endpoint).pid
        tree = None if server is None else ProcessTree(server)
        others = set(psutil.Process().children())
        _wait_until_gone(stop)
        before = _Weight.of(tree)
        with interrupt_sets(stop), Fleet(plan, endpoint, on_event, stop) as fleet:
            workers = set(psutil.Process().children()) - others
            fleet.gather_ready()
            fleet.start()
            fleet.warm_up()
            _wait_until_let_in(tree, before, plan.clients, stop)
            after = _Weight.of(tree)
            generator = sum(ProcessTree(worker.pid).memory_bytes() or 0 for worker in workers)
            fleet.measure_once(time.monotonic_ns())
            tally = fleet.finish()
        held = max(0, min(after.taken.clients_since(before.taken), plan.clients))
        counted = {"clients": float(plan.clients), "held": float(held)}
        if held >= FEWEST_WEIGHED:
            counted["server_bytes_each"] = (after.memory - before.memory) / held
            counted["generator_bytes_each"] = generator / held
            counted["kernel_bytes_each"] = (after.kernel - before.kernel) / held
        return tally, counted


@dataclass(frozen=True)
class _Taken:
    """Of a server at one moment: how many processes it has, and files open in all of them."""

    processes: int
    files: int

    @classmethod
    def by(cls, tree: ProcessTree | None) -> "_Taken":
        if tree is None:
            return cls(0, 0)
        files = tree.open_files()  # first: whoever has files in this count is in the other one
        return cls(len(tree.pids()), files)

    def clients_since(self, before: "_Taken") -> int:
        """How many clients it has taken in meanwhile: a process for each, else a file.

        One that waits in the queue has neither.
        """
        return (self.processes - before.processes) or (self.files - before.files)


@dataclass(frozen=True)
class _Weight:
    """At one moment: what a server has taken in, its bytes, and bytes of the kernel."""

    taken: _Taken
    memory: int
    kernel: int

    @classmethod
    def of(cls, tree: ProcessTree | None) -> "_Weight":
        memory = None if tree is None else tree.memory_bytes()
        return cls(_Taken.by(tree), memory or 0, kernel.memory_bytes() or 0)


def _wait_until_gone(stop: Stop) -> None:
    """Wait until the kernel is done with the connections that somebody has just closed.

    Of a million it takes half a minute to close what a server left when it ended.
    """
    last, until = kernel.tcp_sockets() or 0, time.monotonic() + LONGEST_CLOSING_SECONDS
    while not stop.is_set() and time.monotonic() < until:
        time.sleep(CLOSING_LOOK_SECONDS)
        now = kernel.tcp_sockets() or 0
        if now > last - FEWEST_WEIGHED:
            return
        last = now


def _wait_until_let_in(tree: ProcessTree | None, before: _Weight, clients: int, stop: Stop) -> None:
    """Wait until a server has taken so many clients in, or takes no more."""
    most, grown_at = -1, time.monotonic()
    while tree and not stop.is_set() and time.monotonic() < grown_at + GROWING_SECONDS:
        seen = _Taken.by(tree).clients_since(before.taken)
        if seen >= clients:
            return
        if seen > most:
            most, grown_at = seen, time.monotonic()
        time.sleep(LOOK_SECONDS)


@dataclass(frozen=True)
class Room:
    """How many clients fit in, and what ends it there, in words."""

    clients: int
    reason: str


def room_of_processes() -> Room:
    """How many clients a server can hold that has a process for each."""
    return _least(
        # The parent keeps two descriptors for each child.
        _descriptors(2),
        *_tasks(),
        _memory(PROCESS_BYTES),
    )


def room_of_threads() -> Room:
    """How many clients a server can hold that has a thread for each."""
    maps = _setting("/proc/sys/vm/max_map_count", 65_530)
    return _least(
        _descriptors(1),
        *_tasks(),
        # A thread's stack and the page that guards it.
        Room((maps - OTHERS) // 2, f"a process may map {maps:,} areas (vm.max_map_count)"),
        _memory(THREAD_BYTES),
    )


def room_of_one_loop() -> Room:
    """How many clients a server can hold that has one event loop."""
    return _least(_descriptors(1), *_machine())


def room_of_loops() -> Room:
    """How many clients a server can hold that has event loops in as many processes as it takes."""
    return _least(*_machine())


def _least(*rooms: Room) -> Room:
    return min(rooms, key=lambda room: room.clients)


def _descriptors(each: int) -> Room:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = _setting("/proc/sys/fs/nr_open", 1 << 20)
    room = (hard - SERVER_DESCRIPTORS) // each
    return Room(room, f"a process may open {hard:,} files (ulimit -Hn)")


def _tasks() -> list[Room]:
    pids = _setting("/proc/sys/kernel/pid_max", 32_768)
    threads = _setting("/proc/sys/kernel/threads-max", pids)
    found = [
        Room(pids - OTHERS, f"there are {pids:,} process ids (kernel.pid_max)"),
        Room(threads - OTHERS, f"there may be {threads:,} threads (kernel.threads-max)"),
    ]
    _, own = resource.getrlimit(resource.RLIMIT_NPROC)
    if own != resource.RLIM_INFINITY:
        found.append(Room(own - OTHERS, f"a user may have {own:,} processes (ulimit -Hu)"))
    return found


def _machine() -> list[Room]:
    """What ends every crowd over loopback."""
    files = _setting("/proc/sys/fs/file-max", 1 << 20)
    low, high = ephemeral_ports()
    ports = round((high - low + 1) * USABLE_PORTS) * MOST_SOURCES
    return [
        _memory(LOOP_BYTES),
        Room(files // 2, f"the machine may have {files:,} files open (fs.file-max)"),
        Room(ports, f"{MOST_SOURCES} addresses of 127.0.0.0/8 have {ports:,} ports for clients"),
    ]


def _memory(each: int) -> Room:
    free = _free_bytes()
    return Room(
        round(free * MEMORY_SHARE / each),
        f"{free / 2**30:.1f} GiB of memory are free, of which {MEMORY_SHARE:.0%} are taken, at "
        f"{each // 1024:,} KiB each",
    )


@cache
def _free_bytes() -> int:
    """Memory that could be had when this was first asked: every trial is to have the same crowd."""
    return psutil.virtual_memory().available


def _setting(path: str, otherwise: int) -> int:
    """A number of the kernel's; `otherwise` where it is not to be read."""
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return otherwise
