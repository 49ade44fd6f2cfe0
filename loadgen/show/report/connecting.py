"""Connect and first reply: how long until the kernel, and then the server, took a client."""

from collections.abc import Sequence

from loadgen.judge import units
from loadgen.show.report.loads import Load
from loadgen.show.report.panels import Reach, Reaches, Section
from loadgen.show.report.parts import MOST_PANELS, left_out, some_of
from loadgen.show.report.words import extremes, prefix, starved_of, tables_titled
from loadgen.show.table import Table


def connecting(every: Sequence[Load], ready: Sequence[Table]) -> Section | None:
    """Connect and first reply: two clocks that start together."""
    few = some_of(every, MOST_PANELS)
    panels, said = [], []
    for load in few:
        reaches = []
        for subject in load.subjects:
            row = subject.row
            connect = row.value("connect_seconds.p50"), row.value("connect_seconds.p99")
            first = row.value("first_reply_seconds.p50"), row.value("first_reply_seconds.p99")
            starved, connected = row.value("starved"), max(row.measured("connected"), default=None)
            text = f"{units.seconds(first[0])}, p99 {units.seconds(first[1])}"
            if starved:
                text = f"{units.count(starved)} of {units.count(connected)} never got one"
            reaches.append(
                Reach(
                    subject.name,
                    subject.style,
                    text,
                    _pair(*connect),
                    _pair(*first),
                )
            )
            if starved:
                said.append(
                    f"{prefix(load.label)}{subject.name}: {units.count(connected)} clients "
                    f"connected, and {units.count(starved)} of them never got a reply."
                )
        if all(reach.connect is None for reach in reaches):
            continue
        panels.append(Reaches(load.label, tuple(reaches)))
        waits = [(reach.name, reach.first_reply[1]) for reach in reaches if reach.first_reply]
        what = "first reply's 99th percentile"
        said.append(extremes(load.label, what, waits, units.seconds, starved_of(load)))
    if not panels:
        return None
    return Section(
        "connect",
        "Connect and first reply",
        "Both clocks start when a client calls connect(). The kernel completes a connection before "
        "the server accepts it, so being connected (open mark) says nothing about being served "
        "(filled mark): what lies between is the queue at the door. Each bar runs from the median "
        "to the 99th percentile; the first reply's two stand beside the name."
        + left_out(few, every),
        tuple(panels),
        tuple(said),
        tables_titled(ready, "Connections"),
    )


def _pair(one: float | None, other: float | None) -> tuple[float, float] | None:
    return None if one is None or other is None else (one, other)
