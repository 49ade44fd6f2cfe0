"""Latency by percentile, drawn as HdrHistogram does: each step to the right is ten times rarer."""

from collections.abc import Sequence
from dataclasses import replace

from loadgen.judge import units
from loadgen.record.histogram import Histogram
from loadgen.show.report.loads import Load
from loadgen.show.report.panels import Axis, Line, Lines, Section, legend
from loadgen.show.report.parts import MOST_PANELS, left_out, parts_of, some_of
from loadgen.show.report.style import Style
from loadgen.show.report.words import extremes, starved_of, titled
from loadgen.show.table import Table


def latency(every: Sequence[Load]) -> Section | None:
    """Latency by percentile, as HdrHistogram plots it."""
    few = some_of(every, MOST_PANELS)
    panels, said, made = [], [], []
    for part in parts_of(few):
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
            apart = starved_of(part.load)
            apart += [f"{name}, service" for name in apart]
            said.append(extremes(part.title, "99th percentile", lowest, units.seconds, apart))
            made.append(_percentile_table(part.title, figures))
    if not panels:
        return None
    about = (
        "How long a message took from sending to reply. Read a line upwards from a percentile: at "
        "99 %, one message in a hundred took longer than that. To the right each step is ten times "
        "rarer, which is where pauses and queues show; flat and low is good."
    )
    if any(part.open_loop for part in parts_of(few)):
        about += (
            " Response time (solid) counts from when a message was due, service time (dashed) from "
            "when it was sent: where they part, messages had to queue before they were sent."
        )
    return Section(
        "latency",
        "Latency by percentile",
        about + left_out(few, every),
        tuple(panels),
        tuple(said),
        tuple(made),
        legend(panels),
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


def _percentile_table(title: str, figures: Sequence[tuple[str, Histogram]]) -> Table:
    percents = (50, 90, 99, 99.9, 99.99)
    return Table(
        titled("Latency by percentile", title),
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
