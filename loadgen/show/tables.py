"""Rows as text: tables for a terminal of 100 columns, and the same as Markdown.

No arithmetic beyond choosing a unit: every figure comes ready from `compare`. '-' stands for what
was not measured; a column or table that could hold nothing else is left out.
"""

import shlex
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import tabulate

from loadgen.judge import units
from loadgen.judge.compare import (
    CONNECTIONS,
    CPU,
    LATENCY,
    MEMORY,
    MESSAGES,
    RESPONSE,
    Difference,
    Row,
    Span,
    headline,
    load_of,
)
from loadgen.judge.figures import Percentiles
from loadgen.judge.intervals import Estimate
from loadgen.judge.verdict import GENERATOR
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.environment import Environment
from loadgen.record.kernel import MEANINGS
from loadgen.record.result import Result

WIDTH = 100
# Two lines of a header stand flush right only if their spaces are kept, and 100 columns leave no
# room for padding.
tabulate.PRESERVE_WHITESPACE = True
tabulate.MIN_PADDING = 0


@dataclass(frozen=True)
class Table:
    """A table ready to be drawn.

    Headers and cells may have several lines; `words` are the columns that hold words and start at
    the left, the first of them with names; `notes` stand below, a line each.
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: tuple[int, ...] = (0,)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Column:
    header: str
    cell: Callable[[Row], str]
    words: bool = False


def render(
    result: Result,
    found: Sequence[Row],
    sentences: Sequence[tuple[str, str]],
    warnings: Sequence[str],
    curves: Sequence[Table] = (),
) -> str:
    """Everything about one result as plain text, for a terminal.

    `sentences` are pairs of a row's name and what stands out about it. `curves` are tables that
    take the place of the usual ones, which would be long with that many loads.
    """
    title, *lines = heading(result, found)
    parts = ["\n".join([title, *(_wrapped(line, "  ") for line in lines)])]
    parts += [text(table) for table in curves or tables(found)]
    if sentences:
        width = max(len(name) for name, _ in sentences)
        parts.append(
            "\n".join(
                ["What stands out"]
                + [
                    _wrapped(say, " " * (width + 4), f"  {name:<{width}}  ")
                    for name, say in sentences
                ]
            )
        )
    if warnings:
        parts.append(
            "\n".join(["Mind", *(_wrapped(warning, "    ", "  - ") for warning in warnings)])
        )
    return "\n\n".join(parts) + "\n"


def render_markdown(
    result: Result,
    found: Sequence[Row],
    sentences: Sequence[tuple[str, str]],
    warnings: Sequence[str],
    curves: Sequence[Table] = (),
) -> str:
    """The same as Markdown, with the command that made it."""
    title, *lines = heading(result, found)
    parts = [f"# {title}", "  \n".join(lines), f"    {shlex.join(result.command)}"]
    parts += [markdown(table) for table in (*curves, *tables(found))]
    if sentences:
        parts += ["## What stands out"]
        parts += ["\n".join(f"- **{name}**: {say}" for name, say in sentences)]
    if warnings:
        parts += ["## Mind", "\n".join(f"- {warning}" for warning in warnings)]
    return "\n\n".join(parts) + "\n"


def heading(result: Result, found: Sequence[Row]) -> list[str]:
    """What was measured, under which load, and where: a line each."""
    subjects = list(dict.fromkeys(row.name for row in found))
    loads = list(dict.fromkeys(row.plan for row in found))
    clients = [units.count(count) for count in sorted({row.run.clients for row in found})]
    title = subjects[0] if len(subjects) == 1 else f"{len(subjects)} servers compared"
    title += f", {', '.join(clients)} client{'' if clients == ['1'] else 's'}"
    if result.cut_short:
        title += " (cut short: only what was measured until then)"
    trials = max((len(row.trials) for row in found), default=0)
    lines = [f"Load: {load_text(loads[0])}." if len(loads) == 1 else f"{len(loads)} loads."]
    if trials > 1:
        lines[0] += (
            f" {trials} trials each, in random order (seed {result.seed}): rates are means with "
            "95 % intervals, percentiles are over all trials, messages are totals."
        )
    lines.append(f"Machine: {machine_text(result.environment)}.")
    return [title, *lines]


def load_text(plan: Plan) -> str:
    """A load in one line: "100 clients, 64-byte messages, closed loop, length framing, 3 s"."""
    parts = [group_text(group, plan.talk, len(plan.groups) == 1) for group in plan.groups]
    said = ["; ".join(parts)]
    if plan.transport == "udp":
        said.append("UDP")
    elif any(group.request is None and not group.silent for group in plan.groups):
        said.append(f"{plan.framing} framing")
    if plan.family != "inet":
        said.append({"inet6": "over IPv6", "unix": "over a unix socket"}[plan.family])
    if plan.messages_per_client is not None:
        said.append(f"{plan.messages_per_client:,} messages per client")
    elif plan.duration_seconds is not None:
        said.append(
            f"{plan.duration_seconds:g} s after {plan.warmup_seconds:g} s of warm-up"
            if plan.warmup_seconds
            else f"{plan.duration_seconds:g} s"
        )
    if plan.ramp_seconds:
        said.append(f"connecting over {plan.ramp_seconds:g} s")
    if plan.connect_rate:
        said.append(f"{plan.connect_rate:g} connects/s")
    if plan.workers > 1:
        said.append(f"{plan.workers} engine workers")
    if plan.pin:
        said.append("pinned to cores")
    return ", ".join(said)


def group_text(group: Group, talk: str, alone: bool) -> str:
    """A group of clients in a few words."""
    clients = f"{group.clients:,} client{'s' if group.clients != 1 else ''}"
    said = [clients if alone else f"{group.name}: {clients}"]
    if group.silent:
        return said[0] + " that hold a connection and say nothing"
    said.append(
        "a greeting each"
        if talk == "greet"
        else f"request {_quoted(group.request)}"
        if group.request is not None
        else f"{group.work} each"
        if group.work is not None
        else f"{group.size_bytes:,}-byte messages"
    )
    if group.rate_per_second is not None:
        said.append(
            f"open loop at {group.rate_per_second:,.10g} messages/s, {group.arrivals} arrivals"
        )
    elif group.think_seconds:
        about = "about " if group.think_distribution == "exponential" else ""
        said.append(f"closed loop, thinking for {about}{units.seconds(group.think_seconds)}")
    else:
        said.append("closed loop")
    if talk != "loop":
        said.append("each on a connection of its own that the server closes")
    elif group.messages_per_connection is not None:
        each = group.messages_per_connection
        said.append(f"a new connection for every {f'{each:,} messages' if each > 1 else 'message'}")
    return ", ".join(said)


def machine_text(here: Environment) -> str:
    """A machine and interpreter in one line."""
    cores = here.usable_cores if here.usable_cores is not None else here.cores
    return ", ".join(
        (
            here.cpu or here.machine,
            f"{cores} core{'s' if cores != 1 else ''}",
            f"{units.size(here.memory_bytes)} of memory",
            f"{here.system} {here.kernel}",
            f"{here.implementation} {here.python} (GIL {here.gil})",
        )
    )


def tables(found: Sequence[Row]) -> list[Table]:
    """Every table that has something to say about these rows, in reading order."""
    made = [
        _connections(found),
        _by_worker(found),
        _throughput(found),
        _groups(found),
        _datagrams(found),
        _outcomes(found),
        _cost(found),
    ]
    return [table for table in made if table is not None]


def text(table: Table) -> str:
    """A table as plain text under its title, with its notes below."""
    notes = [_wrapped(note, "  ") for note in table.notes]
    if not table.headers:
        return "\n".join([table.title, *notes])
    drawn = _drawn(table)
    excess = max(map(len, drawn.splitlines())) - WIDTH
    if excess > 0 and table.rows and table.words:
        # Long names take two lines each, rather than every line of the table.
        names = table.words[0]
        width = max(len(row[names]) for row in table.rows) - excess
        narrow = [
            (*row[:names], _folded(row[names], width), *row[names + 1 :]) for row in table.rows
        ]
        drawn = _drawn(replace(table, rows=tuple(narrow)))
    return "\n".join([table.title, drawn, *notes])


def _drawn(table: Table) -> str:
    align = ["left" if index in table.words else "right" for index in range(len(table.headers))]
    return tabulate.tabulate(
        table.rows,
        headers=[
            header if index in table.words else _flush_right(header)
            for index, header in enumerate(table.headers)
        ],
        tablefmt="simple",
        colalign=align if table.rows else None,
        disable_numparse=True,
    )


def _folded(name: str, width: int) -> str:
    return textwrap.fill(
        name, max(width, 1), subsequent_indent=" ", break_long_words=False, break_on_hyphens=False
    )


def markdown(table: Table) -> str:
    """The same as Markdown."""
    if not table.headers:
        return "\n\n".join([f"## {table.title}", *table.notes])
    align = ["left" if index in table.words else "right" for index in range(len(table.headers))]
    drawn = tabulate.tabulate(
        [[cell.replace("\n", " ") for cell in row] for row in table.rows],
        headers=[header.replace("-\n", "").replace("\n", " ").strip() for header in table.headers],
        tablefmt="pipe",
        colalign=align if table.rows else None,
        disable_numparse=True,
    )
    return "\n\n".join([f"## {table.title}", drawn, *table.notes])


def differences(
    found: Sequence[Difference], names: tuple[str, str], warnings: Sequence[str]
) -> str:
    """Two results side by side as text; `names` say which results A and B are."""
    parts = [f"A: {names[0]}\nB: {names[1]}", text(difference_table(found))]
    if warnings:
        parts.append(
            "\n".join(["Mind", *(_wrapped(warning, "    ", "  - ") for warning in warnings)])
        )
    return "\n\n".join(parts) + "\n"


def difference_table(found: Sequence[Difference], a: str = "A", b: str = "B") -> Table:
    """Two results side by side, called `a` and `b`."""
    lines = []
    for one in found:
        name = one.a if one.a == one.b else f"{one.a} and {one.b}"
        for position, change in enumerate(one.changes):
            label, shown = _FIGURES[change.path]
            quotient = change.ratio
            lines.append(
                (
                    "" if position else name,
                    label,
                    _mean(change.a, shown),
                    _mean(change.b, shown),
                    "-" if quotient is None else units.times(quotient.mean),
                    _interval(quotient),
                    change.verdict,
                )
            )
    return Table(
        f"{a} and {b} side by side",
        ("server", "figure", a, b, f"{b} / {a}", "95 % interval", f"{b} is"),
        tuple(lines),
        words=(0, 1, 6),
        notes=(f"{b} / {a} is a ratio of geometric means over the trials, its interval Welch's.",),
    )


_FIGURES: dict[str, tuple[str, Callable[[float | None], str]]] = {
    MESSAGES.path: ("messages/s", units.rate),
    CONNECTIONS.path: ("connections/s", units.rate),
    RESPONSE.path: ("response p99", units.seconds),
    LATENCY.path: ("latency p99", units.seconds),
    CPU.path: ("CPU per message", units.seconds),
    MEMORY.path: ("memory", units.size),
}


def _throughput(found: Sequence[Row]) -> Table | None:
    if all(row.span("messages") is None for row in found):
        return None
    kinds = {headline(row.plan) for row in found}
    ranked = any(row.rank is not None for row in found)
    repeated = any(len(row.trials) > 1 for row in found)
    asked = {row.median("requested_per_second") for row in found} - {None}
    spread = _Column("+/-", lambda row: units.spread(row.estimate(headline(row.plan).path)))
    limit = _Column("limited\nby", lambda row: row.bound.bound or "-", words=True)
    messages = _mean_column("messages\n/s", MESSAGES.path, units.rate)

    columns = [_Column("#", lambda row: _rank(row, found))] if ranked else []
    columns += [*_subject(found), *_gil(found)]
    if len(asked) > 1:
        columns.append(
            _Column("asked\n/s", lambda row: units.rate(row.median("requested_per_second")))
        )
    # What the rows are ranked by comes first, with its interval beside it.
    if asked:
        response = _percentiles("response", lambda row: row.response_seconds, ("p50", "p99", "max"))
        columns += [messages, limit, *response[:2], *([spread] if repeated else []), response[2]]
        columns += _percentiles("service", lambda row: row.latency_seconds, ("p50", "p99"))
    else:
        churn = CONNECTIONS in kinds
        first = _mean_column("connec-\ntions/s", CONNECTIONS.path, units.rate)
        bandwidth = _mean_column("MiB/s", "payload_bytes_per_second", units.mebibytes)
        columns += [first if churn else messages, *([spread] if repeated else []), limit]
        columns.append(messages if churn else bandwidth)
        columns += _percentiles(
            "latency", lambda row: row.latency_seconds, ("p50", "p90", "p99", "max")
        )
        columns.append(_Column("Jain", lambda row: units.fraction(row.median("fairness"))))

    notes = []
    if asked:
        rates = " and ".join(units.rate(rate) for rate in sorted(filter(None, asked)))
        notes.append(f"asked for: {rates} messages/s.")
        notes.append("response counts from when a message was due, service from when it was sent.")
    else:
        notes.append(
            "Jain: fairness, 1 when all clients were answered equally often, 1/n when one of n had "
            "all."
        )
        notes += _evenness(found)
    if repeated:
        what = " and ".join(_FIGURES[kind.path][0] for kind in _KIND_ORDER if kind in kinds)
        notes.append(f"+/-: half the 95 % interval of {what} (Student's t over the trials).")
    if any(row.ties for row in found):
        notes.append(
            "#: the place by the mean; = where none of that rank is clearly better than another "
            "(the 95 % intervals of their ratios, Welch's, include 1)."
        )
    if longer := [
        f"{row.name} {units.seconds(row.prolonged_warmup)}" for row in found if row.prolonged_warmup
    ]:
        notes.append(f"warm-up prolonged, for clients without a first reply: {', '.join(longer)}.")
    if any(row.bound.bound == GENERATOR for row in found):
        notes.append("limited by generator: the server can do more than the number beside it.")
    unranked = [f"{row.name} ({row.unranked})" for row in found if row.unranked is not None]
    if ranked and unranked:
        notes.append(f"not ranked: {', '.join(unranked)}.")
    return _table("Throughput", columns, found, notes)


def _evenness(found: Sequence[Row]) -> list[str]:
    """How far apart clients of one server were; the figures of all are in the JSON."""
    uneven = [f"{row.name} {_served_span(row)}" for row in found if row.uneven]
    alike = "no client over twice as often as another."
    if all(row.uneven is None for row in found):
        return []
    if not uneven:
        return [f"Each server answered {alike}" if len(found) > 1 else f"It answered {alike}"]
    said = f"Messages of the least and the most served client: {', '.join(uneven)}"
    others = any(row.uneven is False for row in found)
    return [f"{said}; the others answered {alike}" if others else f"{said}."]


_KIND_ORDER = (MESSAGES, CONNECTIONS, RESPONSE)


def _connections(found: Sequence[Row]) -> Table:
    datagrams = all(map(_over_udp, found))
    columns = _subject(found)
    columns += [
        _span_column("connected", "connected"),
        _span_column("served", "served"),
        _span_column("starved", "starved"),
    ]
    if any(row.highest("held") for row in found):
        columns.append(_span_column("held", "held"))
    columns.append(_Column("errors", lambda row: units.count(sum(row.errors.values()))))
    if not datagrams:
        columns += _percentiles("connect", lambda row: row.connect_seconds, ("p50", "p99"))
    columns += _percentiles("1st reply", lambda row: row.first_reply_seconds, ("p50", "p99"))
    if not datagrams:
        columns.append(_mean_column("connec-\ntions/s", CONNECTIONS.path, units.rate))
    notes = ["starved: connected, and never got a right reply."]
    if datagrams:
        notes = [
            "connected: has a socket to send datagrams from. starved: never got a right reply."
        ]
    for name in dict.fromkeys(name for row in found for name in row.kernel):
        moved = [f"{row.name} {row.kernel[name]:,}" for row in found if name in row.kernel]
        notes.append(f"The kernel counted {name} ({MEANINGS[name]}): {', '.join(moved)}.")
    return _table("Clients" if datagrams else "Connections", columns, found, notes)


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


_COUNTS_WIDTH = 50


def _datagrams(found: Sequence[Row]) -> Table | None:
    if not any(map(_over_udp, found)):
        return None
    columns = _subject(found)
    columns.append(_total_column("sent", "intended"))
    columns += [_total_column(name, name) for name in ("answered", "lost", "late", "duplicated")]
    timeouts = " and ".join(dict.fromkeys(units.seconds(row.plan.timeout_seconds) for row in found))
    notes = [
        f"lost: no reply within {timeouts}, be it the message or the reply that was lost.",
        "late: replies that came after that; duplicated: that came again. Neither is an answer.",
    ]
    return _table("Datagrams", columns, found, notes)


def _outcomes(found: Sequence[Row]) -> Table:
    columns = _subject(found)
    columns += [
        _total_column(name, name) for name in ("intended", "answered", "wrong", "failed", "waiting")
    ]
    columns += [
        _span_column("clients\nrefused", "refused"),
        _span_column("\nreset", "reset"),
        _span_column("timed\nout", "timed_out"),
        _span_column("other\nend", "other_failed"),
    ]
    notes = ["waiting: sent, and not answered when the run ended."]
    errors = [f"{row.name}: {_errors(row)}" for row in found if row.errors]
    if errors:
        notes.append(f"Errors by name: {'; '.join(errors)}.")
    return _table("How messages and clients ended", columns, found, notes)


def _cost(found: Sequence[Row]) -> Table:
    notes = list(dict.fromkeys(note for row in found for note in row.notes))
    if all(row.highest("server.processes") is None for row in found):
        return Table(
            "What it cost the server", (), (), notes=tuple(notes or ["It was not measured."])
        )
    kind = next((row.memory_kind for row in found if row.memory_kind), None)
    columns = _subject(found)
    columns += [
        _Column("CPU", lambda row: units.seconds(row.median("server.cpu_seconds"))),
        _Column("cores\nbusy", lambda row: units.number(row.median("server.cpu_cores"))),
        _mean_column("CPU per\nmessage", CPU.path, units.seconds),
        _Column(
            f"memory\n({kind.upper()})" if kind else "memory",
            lambda row: units.size(row.highest(MEMORY.path)),
        ),
        _Column("processes", lambda row: units.count(row.highest("server.processes"))),
        _Column("threads", lambda row: units.count(row.highest("server.threads"))),
        _Column(
            "generator's\nbusiest core",
            lambda row: _share(row.median("engine.busiest_worker_cpu")),
        ),
    ]
    legend = "CPU of the whole process tree in the measured window; all else at its peak."
    return _table("What it cost the server", columns, found, [legend, *notes])


def _groups(found: Sequence[Row]) -> Table | None:
    if all(len(row.plan.groups) < 2 for row in found):
        return None
    lines = []
    for row in found:
        for position, group in enumerate(row.plan.groups):
            path = f"groups.{group.name}."
            latency = Percentiles.of(row.pooled_group(group.name).service)
            lines.append(
                (
                    "" if position else row.name,
                    group.name,
                    units.count(group.clients),
                    _span(row.span(path + "connected")),
                    _span(row.span(path + ("held" if group.silent else "served"))),
                    units.rate(row.mean(path + MESSAGES.path)),
                    units.seconds(latency.p50),
                    units.seconds(latency.p99),
                    units.seconds(latency.max),
                    units.fraction(row.median(path + "fairness")),
                )
            )
    who = ("server", "group", "clients", "connected", "served\nor held")
    what = ("messages\n/s", "latency\np50", "\np99", "\nmax", "Jain")
    return Table("Groups of clients", who + what, tuple(lines), words=(0, 1))


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


def _flush_right(header: str) -> str:
    lines = header.split("\n")
    width = max(map(len, lines))
    return "\n".join(line.rjust(width) for line in lines)


def _table(
    title: str, columns: Sequence[_Column], found: Sequence[Row], notes: Sequence[str]
) -> Table:
    return Table(
        title,
        tuple(column.header for column in columns),
        tuple(tuple(column.cell(row) for column in columns) for row in found),
        tuple(index for index, column in enumerate(columns) if column.words),
        tuple(notes),
    )


def _percentiles(
    header: str, of: Callable[[Row], Percentiles | None], which: Sequence[str]
) -> list[_Column]:
    def cell(row: Row, name: str) -> str:
        found = of(row)
        return units.seconds(None if found is None else getattr(found, name))

    return [
        _Column(f"{'' if position else header}\n{name}", partial(cell, name=name))
        for position, name in enumerate(which)
    ]


def _mean_column(header: str, path: str, shown: Callable[[float | None], str]) -> _Column:
    return _Column(header, lambda row: shown(row.mean(path)))


def _span_column(header: str, path: str) -> _Column:
    return _Column(header, lambda row: _span(row.span(path)))


def _total_column(header: str, path: str) -> _Column:
    return _Column(header, lambda row: units.count(row.total(path)))


def _mean(found: Estimate | None, shown: Callable[[float | None], str]) -> str:
    return shown(None if found is None else found.mean)


def _interval(found: Estimate | None) -> str:
    if found is None or found.low is None or found.high is None:
        return units.NOT_MEASURED
    return f"{units.times(found.low)} to {units.times(found.high)}"


def _span(found: Span | None) -> str:
    if found is None:
        return units.NOT_MEASURED
    low, high = units.count(found.low), units.count(found.high)
    return low if low == high else f"{low}-{high}"


def _served_span(row: Row) -> str:
    least, most = row.span("least_served"), row.span("most_served")
    assert least is not None
    assert most is not None
    return f"{least.low:,} to {most.high:,}"


def _rank(row: Row, found: Sequence[Row]) -> str:
    if row.rank is None:
        return units.NOT_MEASURED
    same = [one for one in found if one.rank == row.rank and load_of(one.plan) == load_of(row.plan)]
    return f"{row.rank}=" if len(same) > 1 else str(row.rank)


def _share(value: float | None) -> str:
    return units.NOT_MEASURED if value is None else f"{value:.0%}"


def _errors(row: Row) -> str:
    return ", ".join(f"{name} {times:,}" for name, times in row.errors.items())


def _quoted(data: bytes | None) -> str:
    return repr(data)[1:]


def _wrapped(line: str, indent: str, first: str | None = None) -> str:
    return textwrap.fill(
        line,
        WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
