"""Swimlanes: when each of the first clients connected, got a first reply and was gone."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from loadgen.judge import units
from loadgen.record.result import Run
from loadgen.record.tally import Lane
from loadgen.show.report.loads import Load
from loadgen.show.report.panels import (
    CONNECTING,
    SERVED,
    SILENT,
    STATES,
    WAITING,
    Lanes,
    Section,
    Stretch,
)
from loadgen.show.report.parts import left_out, some_of
from loadgen.show.report.words import prefix, titled
from loadgen.show.table import Table

MOST_LANE_PANELS = 10
MOST_LANES = 20


def swimlanes(every: Sequence[Load]) -> Section | None:
    """The first clients' lives."""
    widest = max((len(load.subjects) for load in every), default=1)
    few = some_of(every, max(1, MOST_LANE_PANELS // widest))
    panels: list[Lanes] = []
    said, made = [], []
    for load in few:
        heard = []
        for subject in load.subjects:
            panel = lanes_of(subject.typical.run, titled(subject.name, load.label))
            if panel is not None:
                panels.append(panel)
                heard.append(f"{subject.name} {_lanes_words(panel)}")
                made.append(_lanes_table(panel))
        if heard:
            said.append(f"{prefix(load.label)}who got a first reply: {'; '.join(heard)}.")
    if not panels:
        return None
    longest = max(panel.seconds for panel in panels)
    return Section(
        "lanes",
        "The first clients, one lane each",
        "Time runs to the right. A lane turns with the client's first reply, which says who was "
        "let in when, and not who ran: loadgen lanes, and --trace-clients, draw that."
        + left_out(few, every),
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
    if tally.window_ended is not None:
        end = tally.window_ended - tally.started
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
