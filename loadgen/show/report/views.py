"""What the charts show, as data: panels of bars, lines, dots and lanes, each with words beside it.

Pure: nothing here draws. A section is one question; it holds its charts' panels, sentences that say
what they show, and tables with the same figures for those who cannot see them. What was not
measured is left out of a chart and said in its sentence.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from loadgen.judge import units
from loadgen.judge.audit import GENERATOR
from loadgen.judge.compare import CONNECTIONS, MEMORY, MESSAGES, ONE_TRIAL, headline
from loadgen.judge.figures import jain, together
from loadgen.plan.group import Group
from loadgen.record.histogram import Histogram
from loadgen.record.result import Run
from loadgen.record.tally import GroupTally, Lane
from loadgen.show.report.loads import Load, Subject, Sweep, sweeps
from loadgen.show.report.style import BLUE, ORANGE, Style
from loadgen.show.tables import Table, tables

# More pictures side by side than this tell nobody anything; the tables have the rest.
MOST_PANELS = 8
MOST_LANE_PANELS = 10
MOST_LOADS_OVER_TIME = 2
MOST_LANES = 20
MOST_DOTS = 150
MOST_SLICES = 300
# The kernel counts CPU in ticks of 10 ms: over a shorter stretch the share is mostly rounding.
CPU_STRETCH_SECONDS = 0.25

CONNECTING: Final = "connecting"
WAITING: Final = "connected, no reply yet"
SERVED: Final = "served"
SILENT: Final = "silent on purpose"
STATES: Final = {
    CONNECTING: Style("#9A9A9A", "square"),
    WAITING: Style(ORANGE, "square", "dashed"),
    SERVED: Style(BLUE, "square"),
    SILENT: Style("#D9D9D9", "square"),
}


@dataclass(frozen=True)
class Axis:
    """What an axis shows.

    `kind` says how its numbers are written: "number", "seconds" or "percentile", where the number
    is 1 / (1 - p) of the share p.
    """

    label: str
    kind: str = "number"
    log: bool = False


@dataclass(frozen=True)
class Bar:
    """A figure with its interval (None where there is none) and the trials behind it.

    One that is not `firm` is no measure of the server: not sound, or bound by the load generator.
    """

    name: str
    style: Style
    text: str
    mean: float | None
    low: float | None
    high: float | None
    trials: tuple[float, ...]
    firm: bool


@dataclass(frozen=True)
class Bars:
    """Horizontal bars from 0 to `limit`, the first on top."""

    title: str
    axis: Axis
    limit: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Line:
    """A line through points, with markers at the positions `marks`.

    Whiskers run from `lows` to `highs` at every point where those are given, and a ring stands at
    the position `knee`.
    """

    name: str
    style: Style
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    marks: tuple[int, ...] = ()
    lows: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()
    knee: int | None = None


@dataclass(frozen=True)
class Lines:
    """Lines over common axes. The stretch of x in `shade` is set off from the rest."""

    title: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    shade: tuple[float, float] | None = None


@dataclass(frozen=True)
class Reach:
    """From the median to the 99th percentile of two clocks, in seconds; None: never ran out."""

    name: str
    style: Style
    text: str
    connect: tuple[float, float] | None
    first_reply: tuple[float, float] | None


@dataclass(frozen=True)
class Reaches:
    """Two spans per subject over one logarithmic axis of seconds."""

    title: str
    rows: tuple[Reach, ...]


@dataclass(frozen=True)
class Dots:
    """One subject's clients: how many times the even share of messages each of them got."""

    name: str
    style: Style
    text: str
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Strips:
    """A strip of dots per subject."""

    title: str
    strips: tuple[Dots, ...]


@dataclass(frozen=True)
class Stretch:
    """A client in one state, from and to in seconds since the run began."""

    state: str
    start: float
    end: float


@dataclass(frozen=True)
class Lanes:
    """The first clients of one run, each as the stretches of its life."""

    title: str
    labels: tuple[str, ...]
    lanes: tuple[tuple[Stretch, ...], ...]
    seconds: float


Panel = Bars | Lines | Reaches | Strips | Lanes


@dataclass(frozen=True)
class Section:
    """One question of the report.

    `about` says how to read the charts, `says` what they show; `legend` names the series that can
    be hidden, `key` explains what else is drawn.
    """

    anchor: str
    title: str
    about: str
    panels: tuple[Panel, ...]
    says: tuple[str, ...]
    tables: tuple[Table, ...]
    legend: tuple[tuple[str, Style], ...] = ()


def sections(
    every: Sequence[Load], knees: Mapping[tuple[str, str], float] | None = None
) -> list[Section]:
    """All sections that have something to show, in reading order.

    `knees` gives the value at which a curve bends, by (what is varied, name of the subject).
    """
    ready = _ready_tables(every)
    made = [
        *curves(every, knees or {}),
        throughput(every, ready),
        latency(every),
        connecting(every, ready),
        fairness(every),
        swimlanes(every),
        over_time(every, ready),
    ]
    return [section for section in made if section is not None]


@dataclass(frozen=True)
class _Part:
    """One group of one load, or all of a load with one group. `path` leads to its figures."""

    load: Load
    title: str
    path: str
    group: Group | None

    def tally(self, subject: Subject) -> GroupTally:
        if self.group is None:
            return subject.row.pooled
        return subject.row.pooled_group(self.group.name)

    @property
    def open_loop(self) -> bool:
        groups = self.load.plan.groups if self.group is None else (self.group,)
        return any(group.open_loop for group in groups)


def _parts(every: Sequence[Load]) -> list[_Part]:
    """What has figures of its own: a load, or each talking group of one that mixes groups.

    Like groups of several loads stand together.
    """
    mixed = any(len(load.plan.groups) > 1 for load in every)
    found: dict[str, list[_Part]] = {}
    for load in every:
        if not mixed:
            found.setdefault("", []).append(_Part(load, load.label, "", None))
            continue
        for group in load.plan.groups:
            if group.silent:
                continue
            alone = len(load.plan.groups) == 1
            title = ": ".join(words for words in (group.name, load.label) if words)
            part = _Part(load, title, "" if alone else f"groups.{group.name}.", group)
            found.setdefault(group.name, []).append(part)
    return [part for same in found.values() for part in same]


def throughput(every: Sequence[Load], ready: Sequence[Table]) -> Section | None:
    """Messages/s, or connections/s where clients come and go."""
    shown, said = [], []
    parts = _parts(_few(every, MOST_PANELS))
    limits: dict[str, float] = {}
    for part in parts:
        limit = max((_top(bar) for bar in _bars(part)), default=0.0)
        name = part.group.name if part.group else ""
        limits[name] = max(limits.get(name, 0.0), limit)
    for part in parts:
        bars = _bars(part)
        limit = limits[part.group.name if part.group else ""]
        if not limit or all(bar.mean is None for bar in bars):
            continue
        label = _rate_words(part)
        shown.append(Bars(part.title, Axis(label), limit, bars))
        said.append(_extremes(part.title, label, [(bar.name, bar.mean) for bar in bars]))
    if not shown:
        return None
    kinds = {panel.axis.label for panel in shown}
    about = (
        "Longer is better. A whisker is the 95 % interval of the mean, small circles are single "
        "trials: where whiskers overlap widely, do not call one faster."
    )
    if any(not bar.firm for panel in shown for bar in panel.bars):
        about += " A hatched bar is not to be ranked; beside it stands why."
    return Section(
        "throughput",
        "Connections per second" if kinds == {"connections/s"} else "Throughput",
        about,
        tuple(shown),
        tuple(said),
        _titles(ready, "Throughput", "Groups of clients"),
    )


def _rate_words(part: _Part) -> str:
    return "connections/s" if headline(part.load.plan) == CONNECTIONS else "messages/s"


def _bars(part: _Part) -> tuple[Bar, ...]:
    kind = CONNECTIONS if _rate_words(part) == "connections/s" else MESSAGES
    made = []
    for subject in part.load.subjects:
        row = subject.row
        found = row.estimate(part.path + kind.path)
        why = row.unranked if row.unranked != ONE_TRIAL else None
        if found is not None and row.bound.bound == GENERATOR:
            why = why or "generator-limited"
        if found is None:
            text = "not measured"
        elif found.spread is None:
            text = units.rate(found.mean)
        else:
            text = f"{units.rate(found.mean)} ± {units.spread(found)}"
        made.append(
            Bar(
                subject.name,
                subject.style,
                f"{text} ({why})" if why else text,
                found.mean if found else None,
                found.low if found else None,
                found.high if found else None,
                tuple(row.measured(part.path + kind.path)),
                why is None,
            )
        )
    return tuple(made)


def _top(bar: Bar) -> float:
    """How far a bar's marks reach.

    An interval over two trials that differ may reach ten times as far as any of them; it runs off
    the chart rather than flatten every bar on it.
    """
    longest = max((bar.mean or 0.0, *bar.trials))
    return min(bar.high or 0.0, 1.5 * longest) if bar.high else longest


def latency(every: Sequence[Load]) -> Section | None:
    """Latency by percentile, as HdrHistogram plots it."""
    few = _few(every, MOST_PANELS)
    panels, said, made = [], [], []
    for part in _parts(few):
        lines, figures, lowest = [], [], []
        for subject in part.load.subjects:
            tally = part.tally(subject)
            clocks = [(subject.name, tally.service, subject.style)]
            if part.open_loop:
                clocks = [
                    (subject.name, tally.response, replace(subject.style, dash="solid")),
                    (f"{subject.name}, service", tally.service, _dashed(subject.style)),
                ]
            for name, histogram, style in clocks:
                if histogram.count:
                    lines.append(tail(name, style, histogram))
                    lowest.append((name, histogram.percentile(99)))
                figures.append((name, histogram))
        if lines:
            what = "response time" if part.open_loop else "latency"
            panels.append(
                Lines(
                    part.title,
                    Axis("percentile of messages (%)", "percentile", log=True),
                    Axis(what, "seconds", log=True),
                    tuple(lines),
                )
            )
            said.append(_extremes(part.title, "99th percentile", lowest, units.seconds))
            made.append(_percentile_table(part.title, figures))
    if not panels:
        return None
    about = (
        "How long a message took from sending to reply. Read a line upwards from a percentile: at "
        "99 %, one message in a hundred took longer than that. To the right each step is ten times "
        "rarer, which is where pauses and queues show; flat and low is good."
    )
    if any(part.open_loop for part in _parts(few)):
        about += (
            " Response time (solid) counts from when a message was due, service time (dashed) from "
            "when it was sent: where they part, messages had to queue before they were sent."
        )
    return Section(
        "latency",
        "Latency by percentile",
        about + _left_out(few, every),
        tuple(panels),
        tuple(said),
        tuple(made),
        _legend(panels),
    )


def _dashed(style: Style) -> Style:
    return replace(style, dash="dotted" if style.dash == "dashed" else "dashed")


def tail(name: str, style: Style, histogram: Histogram) -> Line:
    """A latency's distribution as a line of seconds over 1 / (1 - p).

    It ends where one message of all is left, and is marked at 50 %, 90 %, 99 % and so on.
    """
    total = histogram.count
    points: dict[float, float] = {}
    marks = [2.0, *(10.0**power for power in range(1, 12))]
    marked = [x for x in marks if x <= total]
    for x in marked:
        points[x] = histogram.percentile(100 * (1 - 1 / x)) or 0.0
    seen, reached = 0, 0.0
    for low, high, count in histogram.buckets():
        x = total / (total - seen)
        if x > reached * 1.02:  # closer points than this fall together on any screen
            points.setdefault(x, (low + high) / 2 / 1e9)
            reached = x
        seen += count
    points[float(total)] = histogram.max or 0.0
    xs = tuple(sorted(points))
    return Line(name, style, xs, tuple(points[x] for x in xs), tuple(xs.index(x) for x in marked))


def connecting(every: Sequence[Load], ready: Sequence[Table]) -> Section | None:
    """Connect and first reply: two clocks that start together."""
    few = _few(every, MOST_PANELS)
    panels, said = [], []
    for load in few:
        reaches = []
        for subject in load.subjects:
            row = subject.row
            connect, first = row.connect_seconds, row.first_reply_seconds
            starved, connected = row.highest("starved"), row.highest("connected")
            text = f"{units.seconds(first.p50)}, p99 {units.seconds(first.p99)}"
            if starved:
                text = f"{units.count(starved)} of {units.count(connected)} never got one"
            reaches.append(
                Reach(
                    subject.name,
                    subject.style,
                    text,
                    _pair(connect.p50, connect.p99),
                    _pair(first.p50, first.p99),
                )
            )
            if starved:
                said.append(
                    f"{_prefix(load.label)}{subject.name}: {units.count(connected)} clients "
                    f"connected, and {units.count(starved)} of them never got a reply."
                )
        if all(reach.connect is None for reach in reaches):
            continue
        panels.append(Reaches(load.label, tuple(reaches)))
        waits = [(reach.name, reach.first_reply[1]) for reach in reaches if reach.first_reply]
        said.append(_extremes(load.label, "first reply's 99th percentile", waits, units.seconds))
    if not panels:
        return None
    return Section(
        "connect",
        "Connect and first reply",
        "Both clocks start when a client calls connect(). The kernel completes a connection before "
        "the server accepts it, so being connected (open mark) says nothing about being served "
        "(filled mark): what lies between is the queue at the door. Each bar runs from the median "
        "to the 99th percentile; the first reply's two stand beside the name."
        + _left_out(few, every),
        tuple(panels),
        tuple(said),
        _titles(ready, "Connections"),
    )


def _pair(one: float | None, other: float | None) -> tuple[float, float] | None:
    return None if one is None or other is None else (one, other)


def fairness(every: Sequence[Load]) -> Section | None:
    """How evenly the clients of one run were served."""
    few = _few(every, MOST_PANELS)
    panels, said, made = [], [], []
    for part in _parts(few):
        strips, lines, indices = [], [], []
        for subject in part.load.subjects:
            counts = _answered(subject, part)
            index = jain(counts)
            if index is None or len(counts) < 2:
                continue
            indices.append((subject.name, index))
            strips.append(
                Dots(
                    subject.name,
                    subject.style,
                    f"Jain {units.fraction(index)}",
                    even_shares(counts),
                )
            )
            lines.append(
                (
                    subject.name,
                    units.count(len(counts)),
                    units.fraction(index),
                    units.count(min(counts)),
                    units.count(max(counts)),
                    units.count(sum(1 for count in counts if not count)),
                )
            )
        if not strips:
            continue
        panels.append(Strips(part.title, tuple(strips)))
        said.append(_extremes(part.title, "Jain's index", indices, units.fraction))
        headers = ("server", "clients", "Jain", "least served", "most served", "got nothing")
        made.append(Table(_titled("Messages per client", part.title), headers, tuple(lines)))
    if not panels:
        return None
    return Section(
        "fairness",
        "Fairness among clients",
        "Each dot is a client, placed by how many times the even share of messages it got in the "
        "measured window. All dots on 1 is fair; those at the left end got nothing. Jain's index "
        "sums that up: 1 when all got the same, 1/n when one of n got everything. One trial, the "
        "middle one." + _left_out(few, every),
        tuple(panels),
        tuple(said),
        tuple(made),
    )


def _answered(subject: Subject, part: _Part) -> list[int]:
    run = subject.typical.run
    if run.tally is None:
        return []
    return [
        count
        for tally, group in zip(run.tally.groups, run.plan.groups, strict=True)
        if not group.silent and (part.group is None or group.name == part.group.name)
        for count in tally.answered_per_client
    ]


def even_shares(counts: Sequence[int]) -> tuple[float, ...]:
    """Each client's messages as a multiple of the mean, in rising order.

    Of more clients than can be drawn, every so many are kept, the least and the most served among
    them.
    """
    ordered = sorted(counts)
    mean = sum(ordered) / len(ordered)
    if len(ordered) > MOST_DOTS:
        step = (len(ordered) - 1) / (MOST_DOTS - 1)
        ordered = [ordered[round(position * step)] for position in range(MOST_DOTS)]
    return tuple(count / mean for count in ordered)


def swimlanes(every: Sequence[Load]) -> Section | None:
    """The first clients' lives."""
    widest = max((len(load.subjects) for load in every), default=1)
    few = _few(every, max(1, MOST_LANE_PANELS // widest))
    panels: list[Lanes] = []
    said, made = [], []
    for load in few:
        heard = []
        for subject in load.subjects:
            panel = lanes_of(subject.typical.run, _titled(subject.name, load.label))
            if panel is not None:
                panels.append(panel)
                heard.append(f"{subject.name} {_lanes_words(panel)}")
                made.append(_lanes_table(panel))
        if heard:
            said.append(f"{_prefix(load.label)}who got a first reply: {'; '.join(heard)}.")
    if not panels:
        return None
    longest = max(panel.seconds for panel in panels)
    return Section(
        "lanes",
        "The first clients, one lane each",
        "Time runs to the right. Where lanes turn to served one after the other, or one alone "
        "does, clients are served in series; where all turn at once, side by side."
        + _left_out(few, every),
        tuple(replace(panel, seconds=longest) for panel in panels),
        tuple(said),
        tuple(made),
        tuple(
            (state, style)
            for state, style in STATES.items()
            if any(part.state == state for panel in panels for lane in panel.lanes for part in lane)
        ),
    )


def lanes_of(run: Run, title: str) -> Lanes | None:
    """A run's first clients; of several groups, as many of each. None when nobody connected."""
    tally = run.tally
    if tally is None:
        return None
    if tally.window_started is not None:
        end = tally.window_started - tally.started + tally.window_seconds
    else:
        end = tally.connecting_seconds
    several = len(tally.groups) > 1
    quota = max(1, MOST_LANES // len(tally.groups))
    labels, lanes = [], []
    for counts, group in zip(tally.groups, run.plan.groups, strict=True):
        for lane in counts.lanes[:quota]:
            stretches = tuple(_stretches(lane, end, group.silent))
            if stretches:
                labels.append(
                    f"{group.name} {lane.client + 1}" if several else f"{lane.client + 1}"
                )
                lanes.append(stretches)
    if not lanes:
        return None
    last = max(lane[-1].end for lane in lanes)
    return Lanes(title, tuple(labels), tuple(lanes), last)


def _stretches(lane: Lane, end: float, silent: bool) -> Iterator[Stretch]:
    """A lane's states one after the other; what never came lasts until the client or run ended."""
    if lane.connect_started is None:
        return
    moments = [lane.connect_started, lane.connected, None if silent else lane.first_reply]
    # A reply that came after the window closed is still a reply.
    last = lane.ended if lane.ended is not None else max(end, *(m for m in moments if m))
    for position, state in enumerate((CONNECTING, SILENT if silent else WAITING, SERVED)):
        start = moments[position]
        if start is None:
            return
        after = moments[position + 1] if position < 2 else None
        yield Stretch(state, start, last if after is None else after)


def _lanes_words(panel: Lanes) -> str:
    talking = [lane for lane in panel.lanes if all(part.state != SILENT for part in lane)]
    served = [part.start for lane in talking for part in lane if part.state == SERVED]
    who = f"{len(served)} of {len(talking)}"
    return f"{who}, the last after {units.seconds(max(served))}" if served else who


def _lanes_table(panel: Lanes) -> Table:
    def at(lane: Sequence[Stretch], state: str) -> str:
        return units.seconds(next((part.start for part in lane if part.state == state), None))

    return Table(
        panel.title,
        ("client", "connect() called", "connected", "first reply", "ended"),
        tuple(
            (
                label,
                at(lane, CONNECTING),
                at(lane, SILENT if any(part.state == SILENT for part in lane) else WAITING),
                at(lane, SERVED),
                units.seconds(lane[-1].end),
            )
            for label, lane in zip(panel.labels, panel.lanes, strict=True)
        ),
    )


def over_time(every: Sequence[Load], ready: Sequence[Table]) -> Section | None:
    """Rate and cost from moment to moment, of the trial in the middle."""
    clocks: list[tuple[str, Axis, Callable[[Run], list[tuple[float, float]]]]] = [
        ("Messages/s", Axis("messages/s"), rate_over_time),
        ("CPU of the server", Axis("cores"), cpu_over_time),
        ("Memory of the server", Axis("MiB"), memory_over_time),
        ("Threads of the server", Axis("threads"), threads_over_time),
        ("Processes of the server", Axis("processes"), processes_over_time),
    ]
    few = _few(every, MOST_LOADS_OVER_TIME)
    panels = []
    for load in few:
        window = max(
            (
                run.tally.window_seconds
                for subject in load.subjects
                if (run := subject.typical.run).tally is not None
            ),
            default=0.0,
        )
        for title, axis, of in clocks:
            lines = []
            for subject in load.subjects:
                points = of(subject.typical.run)
                if len(points) > 1:
                    xs, ys = zip(*points, strict=True)
                    lines.append(Line(subject.name, subject.style, xs, ys, _marks(len(xs))))
            # A process each, all the time, is not worth a chart.
            dull = of is processes_over_time and all(max(line.ys) <= 1 for line in lines)
            if lines and not dull:
                x = Axis("seconds since the measured window opened")
                named = _titled(title, load.label)
                panels.append(Lines(named, x, axis, tuple(lines), (0.0, window)))
    if not panels:
        return None
    return Section(
        "cost",
        "CPU, memory, threads over time",
        "The server's whole process tree while one trial ran, the middle one. The shaded stretch "
        "is the measured window; before it clients connect and warm up." + _left_out(few, every),
        tuple(panels),
        tuple(_cost_sentence(load) for load in every),
        _titles(ready, "What it cost the server"),
        _legend(panels),
    )


def _cost_sentence(load: Load) -> str:
    said = []
    for label, path, shown in (
        ("CPU in cores", "server.cpu_cores", units.number),
        ("peak memory", MEMORY.path, units.size),
        ("peak threads", "server.threads", units.count),
        ("peak processes", "server.processes", units.count),
    ):
        peaks = [(subject.name, subject.row.highest(path)) for subject in load.subjects]
        if any(value is not None for _, value in peaks):
            said.append(_extremes("", label, peaks, shown).removesuffix("."))
    return f"{_prefix(load.label)}{'; '.join(said) or 'not measured'}."


def _marks(count: int) -> tuple[int, ...]:
    """Where a long line has markers: at some ten places, for telling lines apart."""
    return tuple(range(0, count, max(1, count // 8)))


def rate_over_time(run: Run) -> list[tuple[float, float]]:
    """(seconds since the window opened, messages/s), without the last slice: it is seldom whole."""
    if run.tally is None:
        return []
    whole = together(run.tally.groups)
    line, length = whole.timeline[:-1], whole.timeline_slice_seconds
    join = max(1, math.ceil(len(line) / MOST_SLICES))
    points = []
    for start in range(0, len(line) - join + 1, join):
        answered = sum(line[start : start + join])
        points.append(((start + join / 2) * length, answered / (join * length)))
    return points


def cpu_over_time(run: Run) -> list[tuple[float, float]]:
    """(seconds, cores busy), each over the stretch before it."""
    points = []
    samples = run.server.samples
    before = 0
    for now in range(1, len(samples)):
        while samples[now].seconds - samples[before + 1].seconds >= CPU_STRETCH_SECONDS:
            before += 1
        passed = samples[now].seconds - samples[before].seconds
        if passed >= CPU_STRETCH_SECONDS:
            used = samples[now].cpu_seconds - samples[before].cpu_seconds
            # A child that ended and was not reaped yet is missing from one of the two readings.
            points.append((samples[now].seconds, max(0.0, used / passed)))
    return points


def memory_over_time(run: Run) -> list[tuple[float, float]]:
    """(seconds, MiB), where it was looked at."""
    return [
        (sample.seconds, sample.memory_bytes / 1024**2)
        for sample in run.server.samples
        if sample.memory_bytes is not None
    ]


def threads_over_time(run: Run) -> list[tuple[float, float]]:
    """(seconds, threads)."""
    return [(sample.seconds, float(sample.threads)) for sample in run.server.samples]


def processes_over_time(run: Run) -> list[tuple[float, float]]:
    """(seconds, processes)."""
    return [(sample.seconds, float(sample.processes)) for sample in run.server.samples]


def curves(
    every: Sequence[Load], knees: Mapping[tuple[str, str], float]
) -> Iterator[Section | None]:
    """A section per number that was varied on its own."""
    for position, sweep in enumerate(sweeps(every)):
        yield _curve(sweep, knees, "curves" if not position else f"curves-{position + 1}")


def _curve(sweep: Sweep, knees: Mapping[tuple[str, str], float], anchor: str) -> Section | None:
    values = [value for value, _ in sweep.steps]
    x = Axis(sweep.by, log=min(values) > 0 and max(values) >= 8 * min(values))
    found: dict[str, list[tuple[float, Subject]]] = {}
    for value, load in sweep.steps:
        for subject in load.subjects:
            found.setdefault(subject.name, []).append((value, subject))
    rates: list[Line] = []
    tails: list[Line] = []
    memories: list[Line] = []
    rows, said = [], []
    for name, steps in found.items():
        points, sizes = [], []
        for value, subject in steps:
            rate = subject.row.estimate(MESSAGES.path)
            p99 = subject.row.latency_seconds.p99
            memory = subject.row.highest(MEMORY.path)
            rows.append(
                (
                    name,
                    units.count(value),
                    units.rate(rate.mean if rate else None),
                    units.spread(rate),
                    units.seconds(p99),
                    units.number(subject.row.median("server.cpu_cores")),
                    units.size(memory),
                )
            )
            if rate is not None and p99 is not None:
                points.append((value, rate, p99))
            if memory is not None:
                sizes.append((value, memory / 1024**2))
        style = steps[0][1].style
        if len(sizes) > 1:
            xs, ys = zip(*sizes, strict=True)
            memories.append(Line(name, style, xs, ys, tuple(range(len(xs)))))
        if len(points) < 2:
            continue
        xs = tuple(value for value, _, _ in points)
        bend = knees.get((sweep.by, name))
        knee = xs.index(bend) if bend in xs else None
        every_point = tuple(range(len(xs)))
        means = tuple(rate.mean for _, rate, _ in points)
        lows = tuple(rate.mean if rate.low is None else rate.low for _, rate, _ in points)
        highs = tuple(rate.mean if rate.high is None else rate.high for _, rate, _ in points)
        rates.append(Line(name, style, xs, means, every_point, lows, highs, knee))
        tails.append(Line(name, style, xs, tuple(p for _, _, p in points), every_point, knee=knee))
        best = means.index(max(means))
        sentence = (
            f"{name}: most messages/s ({units.rate(means[best])}) with {sweep.by} at "
            f"{units.count(xs[best])}; p99 from {units.seconds(tails[-1].ys[0])} at "
            f"{units.count(xs[0])} to {units.seconds(tails[-1].ys[-1])} at {units.count(xs[-1])}"
        )
        said.append(sentence + (f"; knee at {units.count(bend)}." if knee is not None else "."))
    if not rates:
        return None
    panels = [
        Lines("Throughput", x, Axis("messages/s"), tuple(rates)),
        Lines("Latency, 99th percentile", x, Axis("p99", "seconds", log=True), tuple(tails)),
    ]
    if memories:
        panels.append(Lines("Memory of the server, peak", x, Axis("MiB"), tuple(memories)))
    headers = ("server", sweep.by, "messages/s", "+/-", "latency p99", "cores busy", "memory")
    about = "Throughput rises until something is full; from there on more load only waits longer."
    if any(line.knee is not None for line in rates):
        about += " A ring marks the knee."
    return Section(
        anchor,
        f"Scaling: {sweep.by}",
        about,
        tuple(panels),
        tuple(said),
        (Table(f"By {sweep.by}", headers, tuple(rows)),),
        _legend(panels),
    )


def _few(every: Sequence[Load], most: int) -> list[Load]:
    """The loads that get pictures of their own: all, or some evenly spread ones with the last."""
    if len(every) <= most:
        return list(every)
    if most == 1:
        return [every[-1]]
    step = (len(every) - 1) / (most - 1)
    return [every[round(position * step)] for position in range(most)]


def _left_out(few: Sequence[Load], every: Sequence[Load]) -> str:
    if len(few) == len(every):
        return ""
    return f" Drawn for {len(few)} of {len(every)} loads: {' and '.join(one.label for one in few)}."


def _titles(ready: Sequence[Table], *titles: str) -> tuple[Table, ...]:
    return tuple(table for table in ready if table.title.startswith(titles))


def _ready_tables(every: Sequence[Load]) -> list[Table]:
    """The tables that a terminal shows, for each load."""
    made = []
    for load in every:
        several = len({subject.row.name for subject in load.subjects}) < len(load.subjects)
        rows = [
            # Ranks of two results say nothing side by side.
            replace(one.row, name=one.name, rank=None if several else one.row.rank)
            for one in load.subjects
        ]
        made += [replace(table, title=_titled(table.title, load.label)) for table in tables(rows)]
    return made


def _percentile_table(title: str, figures: Sequence[tuple[str, Histogram]]) -> Table:
    percents = (50, 90, 99, 99.9, 99.99)
    return Table(
        _titled("Latency by percentile", title),
        ("server", "messages", *(f"p{percent:g}" for percent in percents), "max"),
        tuple(
            (
                name,
                units.count(histogram.count),
                *(units.seconds(histogram.percentile(percent)) for percent in percents),
                units.seconds(histogram.max),
            )
            for name, histogram in figures
        ),
    )


def _legend(panels: Sequence[Panel]) -> tuple[tuple[str, Style], ...]:
    found: dict[str, Style] = {}
    for panel in panels:
        if isinstance(panel, Lines):
            for line in panel.lines:
                found.setdefault(line.name, line.style)
    return tuple(found.items())


def _titled(title: str, label: str) -> str:
    return f"{title} ({label})" if label else title


def _prefix(label: str) -> str:
    return f"{label}: " if label else ""


def _extremes(
    label: str,
    what: str,
    figures: Sequence[tuple[str, float | None]],
    shown: Callable[[float | None], str] = units.rate,
) -> str:
    """One sentence on who has the least and who the most of something, and who has no figure."""
    known = [(value, name) for name, value in figures if value is not None]
    missing = [name for name, value in figures if value is None]
    said = f"{_prefix(label)}{what}: "
    if not known:
        return said + "not measured."
    (least, low), (most, high) = min(known), max(known)
    if len(known) == 1:
        said += f"{low} {shown(least)}"
    elif shown(least) == shown(most):
        said += f"{shown(least)} for all {len(known)}"
    else:
        said += f"from {shown(least)} ({low}) to {shown(most)} ({high})"
    if missing:
        said += f"; not measured for {', '.join(missing)}"
    return said + "."
