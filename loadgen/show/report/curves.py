"""Curves: rate, latency and memory over the number that was varied, with a ring at the knee."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loadgen.judge import units
from loadgen.judge.analysis import Analysis
from loadgen.judge.curves import Curve
from loadgen.judge.registry import RESPONSE_P99, figure_of
from loadgen.show.curve_tables import fall, value_words
from loadgen.show.report.loads import Load
from loadgen.show.report.panels import Axis, Line, Lines, Section, legend
from loadgen.show.report.style import Style
from loadgen.show.table import Table


@dataclass(frozen=True)
class Strand:
    """One curve with the name and the look that its server has on the page."""

    name: str
    style: Style
    curve: Curve


def bundles(
    analyses: Sequence[Analysis], every: Sequence[Load], positions: Sequence[int] = ()
) -> list[tuple[Strand, ...]]:
    """The curves of the results at these positions, in bundles that share a picture each.

    `every` are the loads of the same results.
    """
    looks = {
        (subject.result, subject.row.name): (subject.name, subject.style)
        for load in every
        for subject in load.subjects
    }
    found: dict[tuple[Any, ...], list[Strand]] = {}
    for position, analysis in zip(positions or range(len(analyses)), analyses, strict=True):
        for curve in analysis.curves:
            strand = Strand(*looks[position, curve.name], curve)
            found.setdefault(curve.beside, []).append(strand)
    return [tuple(strands) for strands in found.values()]


def scaling(every: Sequence[Sequence[Strand]]) -> Iterator[Section | None]:
    """A section for each bundle of curves."""
    for position, strands in enumerate(every):
        yield _section(strands, "curves" if not position else f"curves-{position + 1}")


def _section(strands: Sequence[Strand], anchor: str) -> Section | None:
    first = strands[0].curve
    values = [point.value for strand in strands for point in strand.curve.points]
    x = Axis(first.what, log=min(values) > 0 and max(values) >= 8 * min(values))
    # A curve of one point is a point: the tables have it.
    rates = [line for strand in strands if len((line := _rates(strand)).xs) > 1]
    if not rates:
        return None
    tails = [line for strand in strands if len((line := _tails(strand)).xs) > 1]
    memories = [line for strand in strands if len((line := _memory(strand)).xs) > 1]
    clock = "Response time" if first.p99_figure == RESPONSE_P99 else "Latency"
    panels = [Lines("Throughput", x, Axis("messages/s"), tuple(rates))]
    if tails:
        y = Axis("p99", "seconds", log=True)
        panels.append(Lines(f"{clock}, 99th percentile", x, y, tuple(tails)))
    if memories:
        panels.append(Lines("Memory of the server, peak", x, Axis("MiB"), tuple(memories)))
    about = "Throughput rises until something is full; from there on more load only waits longer."
    if any(line.knee is not None for line in rates):
        about += " A ring marks the knee, where the intervals allow to tell one."
    return Section(
        anchor,
        f"Scaling: {first.what}",
        about,
        tuple(panels),
        tuple(sentence for strand in strands if (sentence := _sentence(strand))),
        (_table(strands),),
        legend(panels),
    )


def _line(strand: Strand, points: Sequence[tuple[float, float]]) -> Line:
    xs = tuple(x for x, _ in points)
    bend = strand.curve.bend
    return Line(
        strand.name,
        strand.style,
        xs,
        tuple(y for _, y in points),
        tuple(range(len(xs))),
        knee=xs.index(bend) if bend in xs else None,
    )


def _rates(strand: Strand) -> Line:
    known = [
        (point.value, rate)
        for point in strand.curve.points
        if (rate := point.messages_per_second) is not None
    ]
    return replace(
        _line(strand, [(x, rate.mean) for x, rate in known]),
        lows=tuple(rate.mean if rate.low is None else rate.low for _, rate in known),
        highs=tuple(rate.mean if rate.high is None else rate.high for _, rate in known),
    )


def _tails(strand: Strand) -> Line:
    points = strand.curve.points
    return _line(
        strand, [(one.value, p99) for one in points if (p99 := one.p99_seconds) is not None]
    )


def _memory(strand: Strand) -> Line:
    sizes = [
        (point.value, size / 1024**2)
        for point in strand.curve.points
        if (size := point.memory_bytes) is not None
    ]
    return replace(_line(strand, sizes), knee=None)


def _sentence(strand: Strand) -> str | None:
    """Where it got the most, and how its p99 went from the first load to the last."""
    curve = strand.curve
    answered = [one for one in curve.points if one.rate and one.p99_seconds is not None]
    if len(answered) < 2:
        return None
    best = max(answered, key=lambda one: one.rate or 0.0)
    first, last = answered[0], answered[-1]
    said = (
        f"{strand.name}: most messages/s ({units.rate(best.rate)}) with {curve.what} at "
        f"{value_words(curve, best.value)}; {figure_of(curve.p99_figure).label} from "
        f"{units.seconds(first.p99_seconds)} at {value_words(curve, first.value)} to "
        f"{units.seconds(last.p99_seconds)} at {value_words(curve, last.value)}"
    )
    if curve.bend is not None:
        said += f"; knee at {value_words(curve, curve.bend)}"
    return f"{'; '.join(filter(None, (said, fall(curve))))}."


def _table(strands: Sequence[Strand]) -> Table:
    first = strands[0].curve
    return Table(
        f"By {first.what}",
        (
            "server",
            first.what,
            "messages/s",
            "+/-",
            figure_of(first.p99_figure).label,
            "cores busy",
            "memory",
        ),
        tuple(
            (
                strand.name,
                value_words(strand.curve, point.value),
                units.rate(point.rate),
                units.spread(point.messages_per_second),
                units.seconds(point.p99_seconds),
                units.number(point.cpu_cores),
                units.size(point.memory_bytes),
            )
            for strand in strands
            for point in strand.curve.points
        ),
    )
