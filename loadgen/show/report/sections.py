"""All that a report's charts show: its sections in the order in which they are read."""

from collections.abc import Sequence
from dataclasses import replace

from loadgen.show.report.connecting import connecting
from loadgen.show.report.curves import Strand, scaling
from loadgen.show.report.fairness import fairness
from loadgen.show.report.latency import latency
from loadgen.show.report.loads import Load
from loadgen.show.report.over_time import over_time
from loadgen.show.report.panels import Section
from loadgen.show.report.running import running
from loadgen.show.report.swimlanes import swimlanes
from loadgen.show.report.throughput import throughput
from loadgen.show.report.words import titled
from loadgen.show.table import Table
from loadgen.show.tables import tables


def sections(every: Sequence[Load], bundles: Sequence[Sequence[Strand]] = ()) -> list[Section]:
    """All sections that have something to show, in reading order.

    `bundles` are the curves, those that share a picture together.
    """
    ready = _ready_tables(every)
    made = [
        *scaling(bundles),
        throughput(every, ready),
        latency(every),
        connecting(every, ready),
        fairness(every),
        running(every) or swimlanes(every),
        over_time(every, ready),
    ]
    return [section for section in made if section is not None]


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
        made += [replace(table, title=titled(table.title, load.label)) for table in tables(rows)]
    return made
