"""Fairness: each client of one run as a dot, by its multiple of the even share of messages."""

from collections.abc import Sequence

from loadgen.judge import units
from loadgen.judge.figures import jain
from loadgen.show.report.loads import Load, Subject
from loadgen.show.report.panels import Dots, Section, Strips
from loadgen.show.report.parts import MOST_PANELS, Part, left_out, parts_of, some_of
from loadgen.show.report.words import extremes, titled
from loadgen.show.table import Table

MOST_DOTS = 150


def fairness(every: Sequence[Load]) -> Section | None:
    """How evenly the clients of one run were served."""
    few = some_of(every, MOST_PANELS)
    panels, said, made = [], [], []
    for part in parts_of(few):
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
        said.append(extremes(part.title, "Jain's index", indices, units.fraction))
        headers = ("server", "clients", "Jain", "least served", "most served", "got nothing")
        made.append(Table(titled("Messages per client", part.title), headers, tuple(lines)))
    if not panels:
        return None
    return Section(
        "fairness",
        "Fairness among clients",
        "Each dot is a client, placed by how many times the even share of messages it got in the "
        "measured window. All dots on 1 is fair; those at the left end got nothing. Jain's index "
        "sums that up: 1 when all got the same, 1/n when one of n got everything. One trial, the "
        "middle one." + left_out(few, every),
        tuple(panels),
        tuple(said),
        tuple(made),
    )


def _answered(subject: Subject, part: Part) -> list[int]:
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
