"""Curves: rate, latency and memory over the number that was varied, with a ring at the knee."""

from collections.abc import Iterator, Mapping, Sequence

from loadgen.judge import units
from loadgen.judge.compare import MEMORY, MESSAGES
from loadgen.show.report.loads import Load, Subject, Sweep, sweeps
from loadgen.show.report.panels import Axis, Line, Lines, Section, legend
from loadgen.show.tables import Table


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
        legend(panels),
    )
