"""The registry of figures: what each one is called, counts and means, and how trials become one.

Tables, sentences, ranks, differences, requirements, curves, experiments and the report ask for a
figure by its path in the JSON, such as "latency_seconds.p99", and read everything else about it
here. Three families have a name in their path: `groups.NAME.` before any figure of the load,
`kernel.NAME` for a counter of the kernel, and `probe.NAME` for what an experiment's client counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from loadgen.judge.units import (
    BYTES,
    BYTES_PER_SECOND,
    CORES,
    COUNT,
    INDEX,
    NUMBER,
    PER_SECOND,
    SECONDS,
    SHARE,
    Unit,
)
from loadgen.record.kernel import MEANINGS

STOLEN_FROM_TURN: Final = 0.1
"""Of a core: a turn from which a hypervisor took more tells of its other guests. In a life of which
it took 0.3, `iterative`, which wakes a core for each message, had a turn of 6,200/s, not 20,000."""

MESSAGES: Final = "messages_per_second"
CONNECTIONS: Final = "connections_per_second"
LATENCY_P50: Final = "latency_seconds.p50"
LATENCY_P99: Final = "latency_seconds.p99"
RESPONSE_P99: Final = "response_seconds.p99"
CPU_CORES: Final = "server.cpu_cores"
CPU_PER_MESSAGE: Final = "server.cpu_seconds_per_message"
USER_PER_MESSAGE: Final = "server.user_seconds_per_message"
SYSTEM_PER_MESSAGE: Final = "server.system_seconds_per_message"
RUNNABLE_PER_MESSAGE: Final = "server.runnable_seconds_per_message"
SWITCHES_PER_MESSAGE: Final = "server.voluntary_switches_per_message"
FORCED_PER_MESSAGE: Final = "server.forced_switches_per_message"
FAULTS_PER_MESSAGE: Final = "server.page_faults_per_message"
GIL_WAITERS: Final = "server.gil_waiters"
MEMORY: Final = "server.memory_bytes"
THREADS: Final = "server.threads"
PROCESSES: Final = "server.processes"


class Better(Enum):
    """Which way a figure is better; None, where neither is."""

    HIGHER = "more is better"
    LOWER = "less is better"


class OverTrials(Enum):
    """How the trials of a row become its one number."""

    MEAN = "geometric mean of the trials"
    POOLED = "all trials' messages together"
    MEDIAN = "median of the trials"
    TOTAL = "sum of the trials"
    HIGHEST = "highest of the trials"
    LOWEST = "lowest of the trials"


@dataclass(frozen=True)
class Figure:
    """One figure: `label` is what people read, `definition` says in a sentence what is counted."""

    path: str
    label: str
    unit: Unit
    better: Better | None
    over_trials: OverTrials
    definition: str


CLOCKS: Final = {
    "connect_seconds": ("connect", "from calling connect() until it has connected"),
    "first_reply_seconds": (
        "first reply",
        "from calling connect() until the first right reply, on each connection",
    ),
    "latency_seconds": (
        "latency",
        "from sending a message to its reply (service time), of messages answered in the window",
    ),
    "response_seconds": (
        "response",
        "from when a message was due to its reply, or to the window's close (open loop alone)",
    ),
    "lateness_seconds": ("lateness", "how late the engine itself sent, in an open loop"),
}
"""path -> (label, what is timed)"""

STATISTICS: Final = {
    "count": "how many were timed",
    "mean": "mean",
    "p50": "median",
    "p90": "90th percentile",
    "p99": "99th percentile",
    "p999": "99.9th percentile",
    "max": "longest",
}
"""What is told of each clock: the last part of a path -> its words."""


def _clock(path: str) -> tuple[Figure, ...]:
    label, timed = CLOCKS[path]
    return tuple(
        Figure(
            f"{path}.{name}",
            f"{label} {name}",
            COUNT if name == "count" else SECONDS,
            None if name == "count" else Better.LOWER,
            OverTrials.POOLED,
            f"{words}: {timed}",
        )
        for name, words in STATISTICS.items()
    )


_HIGHER, _LOWER = Better.HIGHER, Better.LOWER
_MEAN, _MEDIAN, _TOTAL = OverTrials.MEAN, OverTrials.MEDIAN, OverTrials.TOTAL
_HIGHEST, _LOWEST = OverTrials.HIGHEST, OverTrials.LOWEST

SECTIONS: Final[dict[str, tuple[Figure, ...]]] = {
    "Clients, over the whole run": (
        Figure("clients", "clients", COUNT, None, _HIGHEST, "clients that the load asks for"),
        Figure(
            "connected", "connected", COUNT, _HIGHER, _LOWEST, "clients that ever connected"
        ),
        Figure("served", "served", COUNT, _HIGHER, _LOWEST, "clients that got a right reply"),
        Figure(
            "starved", "starved", COUNT, _LOWER, _HIGHEST,
            "clients that connected, were to send, and never got a right reply",
        ),
        Figure(
            "refused", "clients refused", COUNT, _LOWER, _HIGHEST,
            "clients that ended because a connection was refused",
        ),
        Figure(
            "reset", "clients reset", COUNT, _LOWER, _HIGHEST,
            "clients that ended because the server broke the connection off",
        ),
        Figure(
            "timed_out", "clients timed out", COUNT, _LOWER, _HIGHEST,
            "clients that ended because nothing came within --timeout",
        ),
        Figure(
            "other_failed", "clients ended otherwise", COUNT, _LOWER, _HIGHEST,
            "clients that ended by any other error",
        ),
        Figure(
            "held", "held", COUNT, _HIGHER, _LOWEST,
            "silent clients that were still connected at the end",
        ),
    ),
    "Messages, over the whole run: intended = answered + wrong + failed + waiting": (
        Figure("intended", "intended", COUNT, None, _TOTAL, "messages that clients were to send"),
        Figure("answered", "answered", COUNT, _HIGHER, _TOTAL, "messages that got the right reply"),
        Figure("wrong", "wrong", COUNT, _LOWER, _TOTAL, "messages that got another reply"),
        Figure(
            "failed", "failed", COUNT, _LOWER, _TOTAL,
            "messages whose connection failed, or that got no reply in time",
        ),
        Figure(
            "waiting", "waiting", COUNT, None, _TOTAL,
            "messages that were not answered yet when the run ended",
        ),
        Figure(
            "lost", "lost", COUNT, _LOWER, _TOTAL,
            "datagrams without a reply within --timeout; they are in `failed` too (UDP alone)",
        ),
        Figure(
            "duplicated", "duplicated", COUNT, _LOWER, _TOTAL,
            "replies that came again, which answer nothing (UDP alone)",
        ),
        Figure(
            "late", "late", COUNT, _LOWER, _TOTAL,
            "replies that came after their message was given up, which answer nothing (UDP alone)",
        ),
    ),
    "Rates and fairness": (
        Figure("messages", "messages", COUNT, _HIGHER, _TOTAL, "messages answered in the window"),
        Figure(
            MESSAGES, "messages/s", PER_SECOND, _HIGHER, _MEAN,
            "messages answered in the window, by its length; in turns, without those from which a "
            f"hypervisor took more than {STOLEN_FROM_TURN} cores",
        ),
        Figure(
            "requested_per_second", "asked for", PER_SECOND, None, _MEDIAN,
            "messages per second that an open loop was to send; none where some groups are closed "
            "loops, whose messages are not to be added to those",
        ),
        Figure(
            "payload_bytes_per_second", "data", BYTES_PER_SECOND, _HIGHER, _MEAN,
            "bytes of the messages answered in the window and of their replies, both ways, without "
            "framing",
        ),
        Figure("connections", "connections", COUNT, None, _TOTAL, "connections made, over the run"),
        Figure(
            CONNECTIONS, "connections/s", PER_SECOND, _HIGHER, _MEAN,
            "connections made in the window, by its length, where clients come and go (--churn); "
            "how fast lasting clients connect is the generator's own speed",
        ),
        Figure(
            "fairness", "Jain", INDEX, _HIGHER, _MEDIAN,
            "Jain's index over the clients' messages answered in the window: 1 when all "
            "had equally many, 1/n when one of n had all; of one group, since clients of several "
            "are not alike",
        ),
        Figure(
            "least_served", "least served", COUNT, _HIGHER, _MEDIAN,
            "messages that the client with the fewest had answered in the window, of one group",
        ),
        Figure(
            "most_served", "most served", COUNT, None, _MEDIAN,
            "messages that the client with the most had answered in the window, of one group",
        ),
    ),
    "Connecting and the first reply, over the whole run": (
        *_clock("connect_seconds"),
        *_clock("first_reply_seconds"),
    ),
    "Latency": (
        *_clock("latency_seconds"),
        *_clock("response_seconds"),
        *_clock("lateness_seconds"),
    ),
    "How long it took": (
        Figure("window_seconds", "window", SECONDS, None, _MEDIAN, "length of the measured window"),
        Figure(
            "connecting_seconds", "connecting", SECONDS, None, _MEDIAN,
            "from the start until the last client had connected or failed to",
        ),
        Figure(
            "warmup_seconds", "warm-up", SECONDS, None, _HIGHEST,
            "from then until the window opened, as long as it really took",
        ),
    ),
    "What it cost the server: its whole process tree": (
        Figure(
            "server.cpu_seconds", "CPU", SECONDS, _LOWER, _MEDIAN, "CPU time used in the window"
        ),
        Figure(
            CPU_CORES, "cores busy", CORES, None, _MEDIAN,
            "CPU time by the length of the window: 1 is one core kept busy",
        ),
        Figure(
            CPU_PER_MESSAGE, "CPU per message", SECONDS, _LOWER, _MEAN,
            "CPU time for each message answered in the window",
        ),
        Figure(
            USER_PER_MESSAGE, "user time per message", SECONDS, _LOWER, _MEAN,
            "CPU time in programs, the interpreter's and the server's, for each message",
        ),
        Figure(
            SYSTEM_PER_MESSAGE, "kernel time per message", SECONDS, _LOWER, _MEAN,
            "CPU time in the kernel for each message",
        ),
        Figure(
            RUNNABLE_PER_MESSAGE, "wait for a core per message", SECONDS, _LOWER, _MEAN,
            "how long the server's threads together were ready to run and had no core, for each "
            "message; not known where threads ended meanwhile, nor are switches then",
        ),
        Figure(
            SWITCHES_PER_MESSAGE, "switches per message", NUMBER, _LOWER, _MEAN,
            "how often a thread of the server gave up its core to wait, for each message",
        ),
        Figure(
            FORCED_PER_MESSAGE, "forced switches per message", NUMBER, _LOWER, _MEAN,
            "how often a thread of the server had its core taken away, for each message",
        ),
        Figure(
            FAULTS_PER_MESSAGE, "page faults per message", NUMBER, _LOWER, _MEAN,
            "pages that the kernel had to provide, for each message",
        ),
        Figure(
            GIL_WAITERS, "threads waiting for the GIL", NUMBER, _LOWER, _MEDIAN,
            "threads that waited at one lock with a time limit, as CPython's do for the GIL, on "
            "average over looks in the window; none for a server without threads",
        ),
        Figure(
            MEMORY, "memory", BYTES, _LOWER, _HIGHEST,
            "peak memory over the run, by the measure that `server.memory_kind` names (PSS, USS or "
            "RSS)",
        ),
        Figure(THREADS, "threads", COUNT, None, _HIGHEST, "most threads at a time"),
        Figure(PROCESSES, "processes", COUNT, None, _HIGHEST, "most processes at a time"),
        Figure(
            "server.fewest_connections", "fewest connections", COUNT, None, _MEDIAN,
            "connections of the worker that had the fewest, for a server with workers",
        ),
        Figure(
            "server.most_connections", "most connections", COUNT, None, _MEDIAN,
            "connections of the worker that had the most, for a server with workers",
        ),
    ),
    "The load generator and the machine": (
        Figure("engine.workers", "engine workers", COUNT, None, _HIGHEST, "processes that send"),
        Figure(
            "engine.cpu_cores", "generator's cores", CORES, None, _MEDIAN,
            "cores that all engine workers kept busy in the window",
        ),
        Figure(
            "engine.busiest_worker_cpu", "generator's busiest core", SHARE, None, _MEDIAN,
            "share of one core that the busiest engine worker used in the window, 0 to 1",
        ),
        Figure(
            "engine.memory_bytes", "generator's memory", BYTES, None, _HIGHEST,
            "sum of the engine workers' peaks (RSS)",
        ),
        Figure(
            "engine.wait_share", "latency in the generator", SHARE, _LOWER, _MEDIAN,
            "share of all latencies that replies spent waiting until the engine had read those "
            "that it took in with them; less than all that it adds",
        ),
        Figure(
            "machine.busy_cores", "busy cores", CORES, None, _MEDIAN,
            "cores busy with anything in the window",
        ),
        Figure(
            "machine.other_cores", "others' cores", CORES, _LOWER, _HIGHEST,
            "cores busy with what is neither the server nor the engine",
        ),
        Figure(
            "machine.stolen_cores", "stolen cores", CORES, _LOWER, _HIGHEST,
            "cores that a hypervisor gave to others",
        ),
    ),
}  # fmt: skip
"""Every figure with a path of its own, in the order of reading."""

FIGURES: Final = {figure.path: figure for same in SECTIONS.values() for figure in same}
"""path -> figure."""

_NOT_OF_A_GROUP: Final = ("server.", "engine.", "machine.")


def figure_of(path: str) -> Figure:
    """The figure at that path, also of one of the families. Raises KeyError where there is none."""
    family, _, rest = path.partition(".")
    if family == "groups":
        return _of_a_group(path, rest)
    if family == "kernel":
        meaning = MEANINGS[rest]
        return Figure(
            path, rest, COUNT, None, OverTrials.TOTAL, f"{meaning} (the kernel's counter)"
        )
    if family == "probe" and rest:
        words = "what a client of an experiment's own counted"
        label = rest.replace("_", " ")
        return Figure(path, label, NUMBER, None, OverTrials.MEAN, words)
    return FIGURES[path]


def _of_a_group(path: str, rest: str) -> Figure:
    """The figure of a group; its name may have dots in it as well."""
    name = rest
    while name:
        name = name.rpartition(".")[0]
        own = rest.removeprefix(f"{name}.")
        if name and own in FIGURES and not own.startswith(_NOT_OF_A_GROUP):
            return replace(FIGURES[own], path=path, label=f"{name}: {FIGURES[own].label}")
    raise KeyError(path)
