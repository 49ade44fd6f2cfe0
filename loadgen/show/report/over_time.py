"""Rate, CPU, memory, threads and processes from moment to moment of one trial."""

import math
from collections.abc import Callable, Sequence

from loadgen.judge.figures import together
from loadgen.judge.registry import CPU_CORES, MEMORY, PROCESSES, THREADS, figure_of
from loadgen.record.result import Run
from loadgen.show.report.loads import Load
from loadgen.show.report.panels import Axis, Line, Lines, Section, legend
from loadgen.show.report.parts import left_out, some_of
from loadgen.show.report.words import extremes, prefix, tables_titled, titled
from loadgen.show.table import Table

MOST_LOADS_OVER_TIME = 2
MOST_SLICES = 300
# The kernel counts CPU in ticks of 10 ms: over a shorter stretch the share is mostly rounding.
CPU_STRETCH_SECONDS = 0.25


def over_time(every: Sequence[Load], ready: Sequence[Table]) -> Section | None:
    """Rate and cost from moment to moment, of the trial in the middle."""
    clocks: list[tuple[str, Axis, Callable[[Run], list[tuple[float, float]]]]] = [
        ("Messages/s", Axis("messages/s"), rate_over_time),
        ("CPU of the server", Axis("cores"), cpu_over_time),
        ("Memory of the server", Axis("MiB"), memory_over_time),
        ("Threads of the server", Axis("threads"), threads_over_time),
        ("Processes of the server", Axis("processes"), processes_over_time),
    ]
    few = some_of(every, MOST_LOADS_OVER_TIME)
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
                x = Axis("seconds since the window opened")
                named = titled(title, load.label)
                panels.append(Lines(named, x, axis, tuple(lines), (0.0, window)))
    if not panels:
        return None
    return Section(
        "cost",
        "CPU, memory, threads over time",
        "The server's whole process tree while one trial ran, the middle one. The shaded stretch "
        "is the measured window; before it clients connect and warm up." + left_out(few, every),
        tuple(panels),
        tuple(_cost_sentence(load) for load in every),
        tables_titled(ready, "What it cost the server"),
        legend(panels),
    )


def _cost_sentence(load: Load) -> str:
    said = []
    for label, path in (
        ("CPU in cores", CPU_CORES),
        ("peak memory", MEMORY),
        ("peak threads", THREADS),
        ("peak processes", PROCESSES),
    ):
        values = [(subject.name, subject.row.value(path)) for subject in load.subjects]
        if any(value is not None for _, value in values):
            words = extremes("", label, values, figure_of(path).unit.shown)
            said.append(words.removesuffix("."))
    return f"{prefix(load.label)}{'; '.join(said) or 'not measured'}."


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
