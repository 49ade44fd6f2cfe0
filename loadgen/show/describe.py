"""What was measured, in words: the load, a group of clients, the machine, and a title for them."""

from loadgen.judge import units
from loadgen.judge.analysis import Analysis
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.environment import Environment


def heading(analysis: Analysis) -> list[str]:
    """What was measured, under which load, and where: a line each; then how figures were made."""
    result, found = analysis.result, analysis.rows
    subjects = list(dict.fromkeys(row.name for row in found))
    loads = list(dict.fromkeys(row.plan for row in found))
    clients = [units.count(count) for count in sorted({row.run.clients for row in found})]
    title = subjects[0] if len(subjects) == 1 else f"{len(subjects)} servers compared"
    title += f", {', '.join(clients)} client{'' if clients == ['1'] else 's'}"
    if result.cut_short:
        title += " (cut short: only what was measured until then)"
    # Of a cluster this is the one that led the others, of which a table tells.
    here = "Led from" if _of_a_cluster(analysis) else "Machine"
    machine = f"{here}: {machine_text(result.environment)}."
    if result.rate_search is not None:
        return [title, _search_text(analysis), machine]
    trials = max((len(row.trials) for row in found), default=0)
    load = f"Load: {load_text(loads[0])}." if len(loads) == 1 else f"{len(loads)} loads."
    if trials < 2:
        return [title, load, machine]
    turns = all(row.took_turns for row in found)
    often = f"{trials} {'lives' if turns else 'trials'}"
    if len(found) > 1:
        often += f" each, {'turns in' if turns else 'in'} random order (seed {result.seed})"
    return [
        title,
        f"{load} {often}.",
        machine,
        "Rates are means with 95 % intervals, percentiles are over all trials, counts are totals.",
    ]


def _of_a_cluster(analysis: Analysis) -> bool:
    """Whether machines of a cluster put the load on."""
    tallies = (run.tally for run in analysis.result.runs)
    return any(tally is not None and tally.machines for tally in tallies)


def _search_text(analysis: Analysis) -> str:
    """How a search went, in a line or two."""
    search, runs = analysis.result.rate_search, analysis.result.runs
    assert search is not None
    windows = [run.plan.duration_seconds or 0.0 for run in runs]
    group = next(group for group in runs[0].plan.groups if not group.silent)
    return (
        f"The highest rate within a bound, an open loop: {_clients_text(group)}, "
        f"{_message_text(group, runs[0].plan.talk)}. {len(runs)} trials of {min(windows):g} to "
        f"{max(windows):g} s (seed {analysis.result.seed}); rates of {units.rate(search.lowest)} "
        f"to {units.rate(search.highest)}/s, to within {search.width:.1%}."
    )


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
        window = f"{plan.duration_seconds:g} s"
        if plan.turns is not None and plan.turns > 1:
            window += f" in {plan.turns} turns"
        if plan.warmup_seconds:
            window += f" after {plan.warmup_seconds:g} s of warm-up"
        said.append(window)
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
    clients = _clients_text(group)
    said = [clients if alone else f"{group.name}: {clients}"]
    if group.silent:
        return said[0] + " that hold a connection and say nothing"
    said.append(_message_text(group, talk))
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


def _clients_text(group: Group) -> str:
    return f"{group.clients:,} client{'s' if group.clients != 1 else ''}"


def _message_text(group: Group, talk: str) -> str:
    """What each of its clients sends."""
    if talk == "greet":
        return "a greeting each"
    if group.request is not None:
        return f"request {_quoted(group.request)}"
    return f"{group.work} each" if group.work is not None else f"{group.size_bytes:,}-byte messages"


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


def _quoted(data: bytes | None) -> str:
    return repr(data)[1:]
