"""Which tables a result has, and what stands in their columns.

No arithmetic beyond choosing a unit: every figure comes ready from its row. '-' stands for what was
not measured; a column or table that could hold nothing else is left out.
"""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from loadgen.judge import units
from loadgen.judge.cautions import prolonged_warmup, said_of_speeds, uneven
from loadgen.judge.diff import Difference
from loadgen.judge.intervals import Estimate
from loadgen.judge.names import separated
from loadgen.judge.ranks import headline, rank_words
from loadgen.judge.registry import (
    CONNECTIONS,
    CPU_CORES,
    CPU_PER_MESSAGE,
    FAULTS_PER_MESSAGE,
    FIGURES,
    FORCED_PER_MESSAGE,
    GIL_WAITERS,
    MEMORY,
    MESSAGES,
    PROCESSES,
    RESPONSE_P99,
    RUNNABLE_PER_MESSAGE,
    SWITCHES_PER_MESSAGE,
    SYSTEM_PER_MESSAGE,
    THREADS,
    USER_PER_MESSAGE,
    figure_of,
)
from loadgen.judge.rows import Row, Span, load_of
from loadgen.judge.speeds import TwoSpeeds
from loadgen.judge.units import NOT_MEASURED
from loadgen.judge.verdict import GENERATOR
from loadgen.record.kernel import MEANINGS
from loadgen.show.machine_table import machine_table
from loadgen.show.table import Table
from loadgen.show.where_table import where_table


@dataclass(frozen=True)
class _Column:
    """What stands in a column; `spare` is one that a narrow terminal does without."""

    header: str
    cell: Callable[[Row], str]
    words: bool = False
    spare: bool = False


def answers(found: Sequence[Row]) -> list[Table]:
    """The tables that say how the servers did: who was served, how fast, and what held it down."""
    made = [
        _throughput(found) or _connections(found),
        _groups(found),
        _datagrams(found),
        machine_table(found),
    ]
    return [table for table in made if table is not None]


def details(found: Sequence[Row]) -> list[Table]:
    """The tables behind those: how that came, and what it cost."""
    made = [
        None if _throughput(found) is None else _connections(found),
        _by_worker(found),
        _outcomes(found),
        _cost(found),
        _budget(found),
        where_table(found),
    ]
    return [table for table in made if table is not None]


def tables(found: Sequence[Row]) -> list[Table]:
    """Every table that has something to say about these rows, in reading order."""
    return [*answers(found), *details(found)]


def difference_table(found: Sequence[Difference], a: str = "A", b: str = "B") -> Table:
    """Two results side by side, called `a` and `b`."""
    lines = []
    for one in found:
        name = one.a if one.a == one.b else f"{one.a} and {one.b}"
        for position, change in enumerate(one.changes):
            figure, quotient = figure_of(change.path), change.ratio
            lines.append(
                (
                    "" if position else name,
                    figure.label,
                    figure.unit.shown(change.a.mean if change.a else None),
                    figure.unit.shown(change.b.mean if change.b else None),
                    NOT_MEASURED if quotient is None else units.times(quotient.mean),
                    _interval(quotient),
                    change.verdict,
                )
            )
    return Table(
        f"{a} and {b} side by side",
        ("server", "figure", a, b, f"{b} / {a}", "95 % interval", f"{b} is"),
        tuple(lines),
        words=(0, 1, 6),
        notes=(
            f"{b} / {a} is the ratio of the two beside it, its interval Welch's over the trials.",
        ),
    )


def _throughput(found: Sequence[Row]) -> Table | None:
    if all(row.span("messages") is None for row in found):
        return None
    kinds = {headline(row.plan) for row in found}
    ranked = any(row.rank is not None for row in found)
    repeated = any(len(row.trials) > 1 for row in found)
    asked = {row.value("requested_per_second") for row in found} - {None}
    compared = any(row.measured("fairness") for row in found)
    spread = _Column("+/-", _spread)
    limit = _Column("limited\nby", lambda row: row.bound.bound or NOT_MEASURED, words=True)
    messages = _figure("messages\n/s", MESSAGES)

    columns = [_Column("#", lambda row: _rank(row, found))] if ranked else []
    columns += [*_subject(found), *_gil(found)]
    columns.append(_Column("served", _served))
    if len(asked) > 1:
        columns.append(_figure("asked\n/s", "requested_per_second"))
    # What the rows are ranked by comes first, with its interval beside it.
    silent = kinds == {FIGURES[MEMORY]}
    if silent:
        columns += [_span_column("held", "held"), _figure("memory", MEMORY)]
        columns += [spread] if repeated else []
    elif asked:
        response = _percentiles("response", "response_seconds", ("p50", "p99", "max"))
        columns += [messages, limit, *response[:2], *([spread] if repeated else []), response[2]]
        columns += _percentiles("service", "latency_seconds", ("p50", "p99"))
    else:
        churn = FIGURES[CONNECTIONS] in kinds
        first = _connections_per_second()
        bandwidth = _figure("MiB/s", "payload_bytes_per_second", units.mebibytes)
        columns += [first if churn else messages, *([spread] if repeated else []), limit]
        columns.append(messages if churn else replace(bandwidth, spare=True))
        p50, p90, p99, longest = _percentiles(
            "latency", "latency_seconds", ("p50", "p90", "p99", "max")
        )
        columns += [p50, replace(p90, spare=True), p99, replace(longest, spare=True)]
        columns += [_figure("Jain", "fairness")] if compared else []

    notes, legend = [], ["served: clients that got a right reply, of all."]
    if asked:
        rates = " and ".join(units.rate(rate) for rate in sorted(filter(None, asked)))
        notes.append(f"asked for: {rates} messages/s.")
        legend.append("response counts from when a message was due, service from when it was sent.")
    elif compared:
        legend.append(
            "Jain: fairness, 1 when all clients were answered equally often, 1/n when one of n had "
            "all."
        )
        same, apart = _evenness(found)
        notes += apart
        legend += same
    what = " and ".join(FIGURES[path].label for path in _RANKED_BY if FIGURES[path] in kinds)
    if repeated:
        legend.append(f"+/-: half the 95 % interval of {what} ({_interval_stands_on(found)}).")
    if any(row.ties for row in found):
        paired = "paired within rounds" if all(row.took_turns for row in found) else "Welch's"
        legend.append(
            f"#: the place by {what}; = where none of that rank is clearly better than another "
            f"(95 % sure of all pairs at once: ratios {paired}, Holm's procedure)."
        )
    for row in found:
        if (speeds := row.speeds) is not None:
            notes.append(f"{row.name} {said_of_speeds(speeds)}.")
    if longer := [
        f"{row.name} {units.seconds(seconds)}"
        for row in found
        if (seconds := prolonged_warmup(row)) is not None
    ]:
        legend.append(f"warm-up prolonged, for clients without a first reply: {separated(longer)}.")
    if any(row.bound.bound == GENERATOR for row in found):
        legend.append("limited by generator: the server can do more than the number beside it.")
    unranked = [f"{row.name} ({row.unranked})" for row in found if row.unranked is not None]
    if ranked and unranked:
        notes.append(f"not ranked: {separated(unranked)}.")
    return _table("Holding" if silent else "Throughput", columns, found, notes, legend)


def _spread(row: Row) -> str:
    """Half its interval, or why there is no one number for it to be around."""
    if row.speeds is not None and headline(row.plan).path == MESSAGES:
        return "2 speeds" if isinstance(row.speeds, TwoSpeeds) else "wanders"
    return units.spread(row.estimate(headline(row.plan).path))


def _interval_stands_on(found: Sequence[Row]) -> str:
    if not all(row.took_turns for row in found):
        return "Student's t over the trials"
    if not any(row.others for row in found):
        return "Student's t over the lives, each a fresh start"
    return (
        "Student's t over the lives, each a fresh start, less what moved the other servers in the "
        "same rounds as well"
    )


def _evenness(found: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Which servers answered their clients evenly, and which did not and how far apart those were.

    The figures of all are in the JSON; of a server that starved some, `served` says it.
    """
    alike = "no client over twice as often as another."
    served = [row for row in found if not row.ever("starved")]
    known = [(row, is_uneven) for row in served if (is_uneven := uneven(row)) is not None]
    apart = [f"{row.name} {_served_span(row)}" for row, is_uneven in known if is_uneven]
    even = [row.name for row, is_uneven in known if not is_uneven]
    who = "It" if len(found) == 1 else separated(even)
    return (
        [f"{who} answered {alike}"] if even else [],
        [f"Messages of the least and the most served client in the window: {separated(apart)}."]
        if apart
        else [],
    )


_RANKED_BY = (MESSAGES, CONNECTIONS, RESPONSE_P99, MEMORY)


def _connections(found: Sequence[Row]) -> Table:
    datagrams = all(map(_over_udp, found))
    columns = _subject(found)
    columns += [
        _span_column("connected", "connected"),
        _span_column("served", "served"),
        _span_column("starved", "starved"),
    ]
    if any(row.ever("held") for row in found):
        columns.append(_span_column("held", "held"))
    columns.append(_Column("errors", lambda row: units.count(sum(row.errors.values()))))
    if not datagrams:
        columns += _percentiles("connect", "connect_seconds", ("p50", "p99"))
    columns += _percentiles("first\nreply", "first_reply_seconds", ("p50", "p99"))
    if any(row.measured(CONNECTIONS) for row in found):
        columns.append(_connections_per_second())
    notes = []
    legend = ["starved: connected, and never got a right reply."]
    if datagrams:
        legend = [
            "connected: has a socket to send datagrams from. starved: never got a right reply."
        ]
    for name in dict.fromkeys(name for row in found for name in row.kernel):
        moved = [f"{row.name} {row.kernel[name]:,}" for row in found if name in row.kernel]
        notes.append(f"The kernel counted {name} ({MEANINGS[name]}): {separated(moved)}.")
    return _table("Clients" if datagrams else "Connections", columns, found, notes, legend)


def _connections_per_second() -> _Column:
    """The column of connections/s, without those that clients had who then starved."""
    return _Column(
        "connec-\ntions/s",
        lambda row: NOT_MEASURED if row.ever("starved") else _shown(row, CONNECTIONS),
    )


def _over_udp(row: Row) -> bool:
    return row.plan.transport == "udp"


def _by_worker(found: Sequence[Row]) -> Table | None:
    """How the connections were spread over the workers of those servers that have some."""
    lines = []
    for row in found:
        spreads = [spread for trial in row.trials if (spread := trial.run.connections_by_worker)]
        for position, spread in enumerate(spreads):
            counts = textwrap.fill(" ".join(map(str, spread)), _COUNTS_WIDTH)
            name = "" if position else row.name
            fewest, most = units.count(min(spread)), units.count(max(spread))
            lines.append((name, units.count(len(spread)), fewest, most, counts))
    if not lines:
        return None
    headers = ("server", "workers", "fewest", "most", "each")
    return Table(
        "Connections by worker",
        headers,
        tuple(lines),
        words=(0, 4),
        notes=(
            "A line for each trial, over the whole run; clients that had left by then count too.",
        ),
    )


_COUNTS_WIDTH = 40


def _datagrams(found: Sequence[Row]) -> Table | None:
    if not any(map(_over_udp, found)):
        return None
    columns = _subject(found)
    columns.append(_figure("sent", "intended"))
    columns += [_figure(name, name) for name in ("answered", "lost", "late", "duplicated")]
    timeouts = " and ".join(dict.fromkeys(units.seconds(row.plan.timeout_seconds) for row in found))
    legend = [
        f"lost: no reply within {timeouts}, be it the message or the reply that was lost.",
        "late: replies that came after that; duplicated: that came again. Neither is an answer.",
    ]
    return _table("Datagrams", columns, found, legend=legend)


def _outcomes(found: Sequence[Row]) -> Table:
    columns = _subject(found)
    columns += [
        _figure(name, name) for name in ("intended", "answered", "wrong", "failed", "waiting")
    ]
    columns += [
        _span_column("clients\nrefused", "refused"),
        _span_column("\nreset", "reset"),
        _span_column("\ntimed out", "timed_out"),
        _span_column("\nother", "other_failed"),
    ]
    notes = []
    errors = [f"{row.name}: {_errors(row)}" for row in found if row.errors]
    if errors:
        notes.append(f"Errors by name: {'; '.join(errors)}.")
    legend = ["waiting: sent, and not answered when the run ended."]
    return _table("How messages and clients ended", columns, found, notes, legend)


def _cost(found: Sequence[Row]) -> Table:
    notes = list(dict.fromkeys(note for row in found for note in row.notes))
    if all(row.value(PROCESSES) is None for row in found):
        return Table(
            "What it cost the server", (), (), notes=tuple(notes or ["It was not measured."])
        )
    kind = next((row.memory_kind for row in found if row.memory_kind), None)
    columns = _subject(found)
    columns += [
        _figure("CPU", "server.cpu_seconds"),
        _figure("cores\nbusy", CPU_CORES),
        _figure("CPU per\nmessage", CPU_PER_MESSAGE),
        _figure(f"memory\n({kind.upper()})" if kind else "memory", MEMORY),
        _figure("processes", PROCESSES),
        _figure("threads", THREADS),
        _figure("generator's\nbusiest core", "engine.busiest_worker_cpu"),
    ]
    legend = (
        "CPU, cores busy and CPU per message: of the whole process tree, in the measured window; "
        "memory, processes and threads: at their peak."
    )
    return _table("What it cost the server", columns, found, notes, [legend])


def _budget(found: Sequence[Row]) -> Table | None:
    """What the kernel counted for a message; left out where it counts nothing."""
    if all(row.value(SYSTEM_PER_MESSAGE) is None for row in found):
        return None
    columns = _subject(found)
    columns += [
        _figure("user\ntime", USER_PER_MESSAGE),
        _figure("kernel\ntime", SYSTEM_PER_MESSAGE),
        _figure("wait for\na core", RUNNABLE_PER_MESSAGE),
        _figure("switches\nto wait", SWITCHES_PER_MESSAGE, units.few),
        _figure("\nforced", FORCED_PER_MESSAGE, units.few),
        _figure("page\nfaults", FAULTS_PER_MESSAGE, units.few),
    ]
    if any(row.value(GIL_WAITERS) is not None for row in found):
        columns.append(_figure("waiting\nfor GIL", GIL_WAITERS, units.few))
    counted = (
        "Counted by the kernel over all threads of the server while it had its load, for each "
    )
    notes = [
        f"{counted}message answered meanwhile. wait for a core: ready to run, and not running."
    ]
    if any(row.value(GIL_WAITERS) is not None for row in found):
        notes.append("waiting for GIL: threads at any moment, and not for each message.")
    return _table("What a message took", columns, found, notes)


def _groups(found: Sequence[Row]) -> Table | None:
    if all(len(row.plan.groups) < 2 for row in found):
        return None
    lines = []
    paced = any(group.open_loop for row in found for group in row.plan.groups)
    shown = _OF_GROUPS_BY_THE_CLOCK if paced else _OF_GROUPS
    for row in found:
        for position, group in enumerate(row.plan.groups):
            # A single group is the whole load, and has no figures of its own.
            path = f"groups.{group.name}." if len(row.plan.groups) > 1 else ""
            held_or_served = "held" if group.silent else "served"
            lines.append(
                (
                    "" if position else row.name,
                    group.name,
                    units.count(group.clients),
                    _span(row.span(path + "connected")),
                    _span(row.span(path + held_or_served)),
                    *(_shown(row, path + figure) for figure in shown.values()),
                )
            )
    who = ("server", "group", "clients", "connected", "served\nor held")
    return Table("Groups of clients", (*who, *shown), tuple(lines), words=(0, 1))


_OF_GROUPS = {
    "messages\n/s": MESSAGES,
    "latency\np50": "latency_seconds.p50",
    "\np99": "latency_seconds.p99",
    "\nmax": "latency_seconds.max",
    "Jain": "fairness",
}
_OF_GROUPS_BY_THE_CLOCK = {
    "messages\n/s": MESSAGES,
    "asked\n/s": "requested_per_second",
    "response\np99": RESPONSE_P99,
    "latency\np50": "latency_seconds.p50",
    "\np99": "latency_seconds.p99",
    "Jain": "fairness",
}
"""Header -> path, where a group is an open loop."""


def _subject(found: Sequence[Row]) -> list[_Column]:
    """The columns that say which row this is."""
    columns = [_Column("server", lambda row: row.name, words=True)]
    if len({row.run.clients for row in found}) > 1:
        columns.append(_Column("clients", lambda row: units.count(row.run.clients)))
    return columns


def _gil(found: Sequence[Row]) -> list[_Column]:
    """The state of the interpreters' lock, where there are several interpreters."""
    if len({row.run.python for row in found if row.run.python is not None}) < 2:
        return []
    state = _Column("GIL", lambda row: (row.run.gil or "not known").replace(" ", "\n"), words=True)
    return [state]


def _table(
    title: str,
    columns: Sequence[_Column],
    found: Sequence[Row],
    notes: Sequence[str] = (),
    legend: Sequence[str] = (),
) -> Table:
    return Table(
        title,
        tuple(column.header for column in columns),
        tuple(tuple(column.cell(row) for column in columns) for row in found),
        tuple(index for index, column in enumerate(columns) if column.words),
        tuple(notes),
        tuple(index for index, column in enumerate(columns) if column.spare),
        tuple(legend),
    )


def _figure(header: str, path: str, shown: Callable[[float | None], str] | None = None) -> _Column:
    """A column with a figure, written in its unit unless `shown` writes it otherwise."""
    return _Column(
        header, lambda row: _shown(row, path) if shown is None else shown(row.value(path))
    )


def _shown(row: Row, path: str) -> str:
    return figure_of(path).unit.shown(row.value(path))


def _percentiles(header: str, clock: str, which: Sequence[str]) -> list[_Column]:
    """A column for each, with one header over all."""
    below = "\n" * header.count("\n")
    return [
        _figure(f"{below if position else header}\n{name}", f"{clock}.{name}")
        for position, name in enumerate(which)
    ]


def _span_column(header: str, path: str) -> _Column:
    return _Column(header, lambda row: _span(row.span(path)))


def _interval(found: Estimate | None) -> str:
    if found is None or found.low is None or found.high is None:
        return NOT_MEASURED
    return f"{units.times(found.low)} to {units.times(found.high)}"


def _span(found: Span | None) -> str:
    if found is None:
        return NOT_MEASURED
    low, high = units.count(found.low), units.count(found.high)
    return low if low == high else f"{low}-{high}"


def _served(row: Row) -> str:
    """How many clients were served, of those that were to send: "1/100"."""
    served = row.span("served")
    return NOT_MEASURED if served is None else f"{_span(served)}/{units.count(row.plan.talking)}"


def _served_span(row: Row) -> str:
    least, most = row.measured("least_served"), row.measured("most_served")
    return f"{min(least):,.0f} to {max(most):,.0f}"


def _rank(row: Row, found: Sequence[Row]) -> str:
    same = [one for one in found if load_of(one.plan) == load_of(row.plan)]
    return rank_words(row, same) or NOT_MEASURED


def _errors(row: Row) -> str:
    return ", ".join(f"{name} {times:,}" for name, times in row.errors.items())
