"""From one run's raw counts to its figures: pure arithmetic, nothing judged and nothing printed.

Names end in their unit (seconds, bytes, per_second); counts have none. A figure that was not
measured is None, never 0. Rates and latencies belong to the measured window; clients, connections
and the ends of messages belong to the whole run.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from loadgen.judge.registry import STOLEN_FROM_TURN
from loadgen.plan.group import Group
from loadgen.record.histogram import Histogram
from loadgen.record.monitor import ServerCost
from loadgen.record.result import Run
from loadgen.record.tally import GroupTally, Turn


@dataclass(frozen=True)
class Percentiles:
    """A latency's distribution, in seconds; all None when nothing was counted."""

    count: int = 0
    mean: float | None = None
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    p999: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, histogram: Histogram) -> "Percentiles":
        p50, p90, p99, p999, largest = histogram.percentiles(50, 90, 99, 99.9, 100)
        return cls(
            count=histogram.count,
            mean=histogram.mean,
            p50=p50,
            p90=p90,
            p99=p99,
            p999=p999,
            max=largest,
        )


@dataclass(frozen=True, kw_only=True)
class LoadFigures:
    """What a group of clients saw, or all of them together; `registry` defines each figure.

    None in a closed loop, and of groups some of which are one, are `requested_per_second`,
    `response_seconds` and `lateness_seconds`; over TCP `lost`, `duplicated` and `late`; of several
    groups that talk, what compares their clients. `errors` counts the failures by errno name.
    """

    name: str
    clients: int
    connected: int | None = None
    served: int | None = None
    starved: int | None = None
    refused: int | None = None
    reset: int | None = None
    timed_out: int | None = None
    other_failed: int | None = None
    held: int | None = None
    intended: int | None = None
    answered: int | None = None
    wrong: int | None = None
    failed: int | None = None
    waiting: int | None = None
    errors: Mapping[str, int] | None = None
    lost: int | None = None
    duplicated: int | None = None
    late: int | None = None
    messages: int | None = None
    messages_per_second: float | None = None
    requested_per_second: float | None = None
    payload_bytes_per_second: float | None = None
    connections: int | None = None
    connections_per_second: float | None = None
    fairness: float | None = None
    least_served: int | None = None
    most_served: int | None = None
    connect_seconds: Percentiles = Percentiles()
    first_reply_seconds: Percentiles = Percentiles()
    latency_seconds: Percentiles = Percentiles()
    response_seconds: Percentiles | None = None
    lateness_seconds: Percentiles | None = None


@dataclass(frozen=True)
class ServerFigures:
    """What the server's process tree cost: CPU in the window, peaks over the run.

    `memory_kind` names the measure behind `memory_bytes` (pss, uss or rss). `fewest_connections`
    and `most_connections` are None for a server that has no workers.
    """

    cpu_seconds: float | None = None
    cpu_cores: float | None = None
    cpu_seconds_per_message: float | None = None
    user_seconds_per_message: float | None = None
    system_seconds_per_message: float | None = None
    runnable_seconds_per_message: float | None = None
    voluntary_switches_per_message: float | None = None
    forced_switches_per_message: float | None = None
    page_faults_per_message: float | None = None
    gil_waiters: float | None = None
    memory_bytes: int | None = None
    memory_kind: str | None = None
    threads: int | None = None
    processes: int | None = None
    fewest_connections: int | None = None
    most_connections: int | None = None


@dataclass(frozen=True)
class EngineFigures:
    """What the load generator itself used, its CPU in the window.

    `wait_share` is how much of the latencies was replies' waiting for those read before them.
    """

    workers: int
    cpu_cores: float | None = None
    busiest_worker_cpu: float | None = None
    memory_bytes: int | None = None
    wait_share: float | None = None


@dataclass(frozen=True)
class MachineFigures:
    """The whole machine, the server's, in the window, in cores."""

    busy_cores: float | None = None
    other_cores: float | None = None
    stolen_cores: float | None = None


@dataclass(frozen=True, kw_only=True)
class Figures(LoadFigures):
    """One run's figures: all clients together, the server, the engine and the machine.

    `groups` has each group's figures by its name where there are several; `probe` what a client of
    an experiment's own counted, `kernel` how far the kernel's counters moved, both by name.
    """

    window_seconds: float | None = None
    connecting_seconds: float | None = None
    warmup_seconds: float | None = None
    server: ServerFigures = field(default_factory=ServerFigures)
    engine: EngineFigures
    machine: MachineFigures = field(default_factory=MachineFigures)
    groups: Mapping[str, LoadFigures] = field(default_factory=dict)
    probe: Mapping[str, float] = field(default_factory=dict)
    kernel: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def figures(run: Run) -> Figures:
    """Every figure of one run. A run without a tally has its clients counted and all else None."""
    plan, tally = run.plan, run.tally
    if tally is None:
        return Figures(name="all", clients=plan.clients, engine=EngineFigures(plan.workers))
    window = tally.window_seconds or None
    parts = list(zip(tally.groups, plan.groups, strict=True))
    groups = {group.name: _load_figures(count, [(count, group)], run) for count, group in parts}
    whole = _load_figures(together(tally.groups), parts, run)
    server = _server_figures(run, whole.messages_per_second)
    if (turns := undisturbed(run)) and whole.messages_per_second is not None:
        whole = replace(whole, messages_per_second=_rate(turns))
    engine_cores = _over(tally.engine_cpu_seconds, window)
    return Figures(
        **{item.name: getattr(whole, item.name) for item in fields(LoadFigures)},
        window_seconds=window,
        connecting_seconds=tally.connecting_seconds,
        warmup_seconds=_warmup_seconds(run),
        server=server,
        engine=EngineFigures(
            workers=plan.workers,
            cpu_cores=engine_cores,
            busiest_worker_cpu=tally.busiest_worker_cpu,
            memory_bytes=tally.engine_memory_bytes or None,
            wait_share=_over(
                tally.engine_wait_seconds,
                (whole.latency_seconds.mean or 0.0) * whole.latency_seconds.count,
            ),
        ),
        machine=_machine_figures(run, engine_cores),
        groups=groups if len(groups) > 1 else {},
        probe=run.probe or {},
        kernel=run.kernel or {},
    )


def undisturbed(run: Run) -> Sequence[Turn]:
    """The turns that tell how fast the server is: all, where there are no others than disturbed.

    Empty for a run that took none.
    """
    turns = () if run.tally is None else run.tally.turns
    disturbed = {
        cost.round
        for cost in run.server.turns
        if (cost.stolen_seconds or 0.0) > STOLEN_FROM_TURN * cost.seconds
    }
    return [turn for turn in turns if turn.round not in disturbed] or turns


def _rate(turns: Sequence[Turn]) -> float | None:
    """Right replies a second, over all of these turns."""
    return _over(sum(turn.answered for turn in turns), sum(turn.seconds for turn in turns))


def _warmup_seconds(run: Run) -> float | None:
    tally = run.tally
    if tally is None or tally.window_started is None or run.plan.messages_per_client is not None:
        return None
    if tally.warmup_seconds is not None:
        return tally.warmup_seconds
    return max(0.0, tally.window_started - tally.started - tally.connecting_seconds)


def together(groups: Iterable[GroupTally]) -> GroupTally:
    """All groups' counts added up in a new tally: histograms merged, never averaged."""
    whole = GroupTally("all")
    for group in groups:
        whole.merge(group)
    return whole


def jain(shares: Sequence[int]) -> float | None:
    """Jain's fairness index, (sum x)^2 / (n * sum x^2): from 1/n to 1, None when nobody got any.

    Source: Jain, Chiu and Hawe, "A Quantitative Measure of Fairness", DEC-TR-301, 1984.
    """
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else None


def flat(result: Figures) -> dict[str, float | None]:
    """Every figure that is one number, by its path in the JSON, such as "latency_seconds.p99"."""
    return dict(_leaves("", result.to_json()))


def clocks(count: GroupTally) -> dict[str, Histogram | None]:
    """What each clock counted, by its path in the JSON; None where it did not run."""
    return {
        "connect_seconds": count.connect,
        "first_reply_seconds": count.first_reply,
        "latency_seconds": count.service,
        "response_seconds": count.response,
        "lateness_seconds": count.lateness,
    }


# No numbers, so that None stands for a whole object that makes no sense, or for a word.
_NO_NUMBERS = ("errors", "response_seconds", "lateness_seconds", "memory_kind")


def _leaves(prefix: str, value: Mapping[str, Any]) -> Iterator[tuple[str, float | None]]:
    for name, item in value.items():
        if isinstance(item, Mapping):
            yield from _leaves(f"{prefix}{name}.", item)
        elif isinstance(item, int | float) or (item is None and name not in _NO_NUMBERS):
            yield prefix + name, item


def _load_figures(
    count: GroupTally, parts: Sequence[tuple[GroupTally, Group]], run: Run
) -> LoadFigures:
    """The figures of `count`, which adds up the tallies in `parts`."""
    assert run.tally is not None
    groups = [group for _, group in parts]
    window = run.tally.window_seconds or None
    talking = [(tally, group) for tally, group in parts if not group.silent]
    rates = [group.rate_per_second for _, group in talking]
    # Clients of several groups are not to be compared, nor those by the clock added to others.
    open_loop = bool(rates) and None not in rates
    alike = len(talking) == 1
    datagrams = run.endpoint is not None and run.endpoint.transport == "udp"
    shares = [share for tally, _ in talking for share in tally.answered_per_client]
    churn = any(group.messages_per_connection is not None for group in groups)
    measured = window is not None
    timed = {
        clock: Percentiles.of(histogram)
        for clock, histogram in clocks(count).items()
        if histogram is not None
    }
    return LoadFigures(
        name=count.name,
        clients=sum(group.clients for group in groups),
        connected=count.connected,
        served=count.served,
        starved=sum(_starved(tally, group) for tally, group in parts),
        refused=count.refused,
        reset=count.reset,
        timed_out=count.timed_out,
        other_failed=count.other_failed,
        held=count.held,
        intended=count.intended,
        answered=count.answered,
        wrong=count.wrong,
        failed=count.failed,
        waiting=count.waiting,
        errors=dict(sorted(count.errors.items())),
        lost=count.lost if datagrams else None,
        duplicated=count.duplicated if datagrams else None,
        late=count.late if datagrams else None,
        messages=count.answered_in_window if measured else None,
        messages_per_second=_over(count.answered_in_window, window) if talking else None,
        requested_per_second=sum(rate or 0.0 for rate in rates) if open_loop else None,
        payload_bytes_per_second=_over(count.payload_bytes_in_window, window) if talking else None,
        connections=None if datagrams else count.connections,
        connections_per_second=_over(count.connections_in_window, window) if churn else None,
        fairness=jain(shares) if measured and alike else None,
        least_served=min(shares, default=None) if measured and alike else None,
        most_served=max(shares, default=None) if measured and alike else None,
        connect_seconds=timed["connect_seconds"],
        first_reply_seconds=timed["first_reply_seconds"],
        latency_seconds=timed["latency_seconds"],
        response_seconds=timed["response_seconds"] if open_loop else None,
        lateness_seconds=timed.get("lateness_seconds") if open_loop else None,
    )


def _starved(tally: GroupTally, group: Group) -> int:
    """Clients that were to send and got no right reply.

    By the clock, not those to whom no message fell due: no more starved than messages were owed.
    """
    owed = tally.intended - tally.answered
    return min(tally.starved, max(0, owed)) if group.open_loop else tally.starved


def _server_figures(run: Run, messages_per_second: float | None) -> ServerFigures:
    cost, effort = run.server, run.server.effort
    messages = _answered_between_readings(cost, messages_per_second)
    cpu_per_message = _over(cost.cpu_seconds, messages)
    cores = _over(cost.cpu_seconds, cost.measured_seconds)
    if cpu_per_message is not None and messages_per_second:
        cores = cpu_per_message * messages_per_second
    window = run.tally.window_seconds if run.tally else 0.0
    return ServerFigures(
        cpu_seconds=cores * window if cores and window else cost.cpu_seconds,
        cpu_cores=cores,
        cpu_seconds_per_message=cpu_per_message,
        user_seconds_per_message=_over(effort.user_seconds, messages),
        system_seconds_per_message=_over(effort.system_seconds, messages),
        runnable_seconds_per_message=_over(effort.runnable_seconds, messages),
        voluntary_switches_per_message=_over(effort.voluntary_switches, messages),
        forced_switches_per_message=_over(effort.forced_switches, messages),
        page_faults_per_message=_over(effort.page_faults, messages),
        gil_waiters=cost.gil_waiters,
        memory_bytes=cost.memory_bytes,
        memory_kind=cost.memory_kind,
        threads=cost.threads,
        processes=cost.processes,
        fewest_connections=min(run.connections_by_worker or (), default=None),
        most_connections=max(run.connections_by_worker or (), default=None),
    )


def _answered_between_readings(cost: ServerCost, messages_per_second: float | None) -> float:
    """How many messages the server's CPU was used for, between the readings of what it was.

    Around a turn there is more than its window: the load is on a little before it opens, off until
    the server is read, and the last replies come after it has closed.
    """
    counted = [turn.answered for turn in cost.turns]
    if None not in counted and (answered := sum(filter(None, counted))):
        return answered
    return (messages_per_second or 0.0) * (cost.measured_seconds or 0.0)


def _machine_figures(run: Run, engine: float | None) -> MachineFigures:
    cost = run.server
    server = _over(cost.cpu_seconds, cost.measured_seconds)
    busy = _over(cost.machine_busy_seconds, cost.measured_seconds)
    engine = _engine_beside_server(run, engine)
    known = None not in (busy, server, engine)
    return MachineFigures(
        busy_cores=busy,
        # The three come from clocks with ticks of 10 ms: a little below nothing is nothing.
        other_cores=max(0.0, (busy or 0.0) - (server or 0.0) - (engine or 0.0)) if known else None,
        stolen_cores=_over(cost.machine_stolen_seconds, cost.measured_seconds),
    )


def _engine_beside_server(run: Run, engine: float | None) -> float | None:
    """What of the engine's cores were the server's machine's own: of a cluster not all."""
    tally = run.tally
    if tally is None or not any(machine.serves for machine in tally.machines):
        return engine
    used = [one.engine_cpu_seconds or 0.0 for one in tally.machines if one.beside_server]
    return _over(sum(used), tally.window_seconds or None)


def _over(amount: float | None, divisor: float | None) -> float | None:
    return amount / divisor if amount is not None and divisor else None
