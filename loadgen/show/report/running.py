"""Who ran when: the lanes of the clients that were traced, where some were."""

from collections.abc import Sequence

from loadgen.judge import units
from loadgen.judge.lanes import At, Lane, Lanes, lanes_of, seconds_to_show
from loadgen.record.result import Run
from loadgen.show.lanes import sentence
from loadgen.show.report.loads import Load, Subject
from loadgen.show.report.panels import ANSWERED, AT_STYLES, Running, Section
from loadgen.show.report.parts import left_out, some_of
from loadgen.show.report.words import prefix, titled
from loadgen.show.table import Table

MOST_PANELS = 10


def running(every: Sequence[Load]) -> Section | None:
    """The lanes of each server; None where nothing was traced."""
    widest = max((len(load.subjects) for load in every), default=1)
    few = some_of(every, max(1, MOST_PANELS // widest))
    found = [
        (load, subject, run)
        for load in few
        for subject in load.subjects
        if (run := _traced(subject)) is not None
    ]
    if all(len(subject.row.trials) == 1 for _, subject, _ in found):
        # In the order of the plan, since nobody takes turns: ranks say nothing of single runs.
        found.sort(key=lambda one: (few.index(one[0]), one[2].began))
    seconds = seconds_to_show(run for _, _, run in found)
    panels, said, made = [], [], []
    for load, subject, run in found:
        lanes = lanes_of(run, seconds)
        if lanes is None:
            continue
        title = titled(subject.name, load.label)
        panels.append(Running(title, lanes))
        said.append(f"{prefix(load.label)}{subject.name}: {sentence(lanes)}.")
        made.append(_table(title, lanes))
    if not panels:
        return None
    seen = {at for panel in panels for lane in panel.lanes.lanes for at, _, _ in lane.spans}
    legend = [(at.value, style) for at, (style, _, _) in AT_STYLES.items() if at in seen]
    rest = ""
    if any(panel.lanes.clients > len(panel.lanes.lanes) for panel in panels):
        rest = " The others are those that were traced, too: what the rest did is not known."
    return Section(
        "running",
        "Who ran when",
        "A lane for each client that was traced. Time runs to the right; the buttons above a "
        "picture come closer, move along and go back, and a touch says what a stretch is. Two "
        "that run at the same moment share no GIL and have a core each."
        + rest
        + left_out(few, every),
        tuple(panels),
        tuple(said),
        tuple(made),
        (*legend, ANSWERED),
    )


def _traced(subject: Subject) -> Run | None:
    """The run to draw of a row: the typical one, else another that has a trace."""
    runs = [subject.typical.run, *(trial.run for trial in subject.row.trials)]
    return next((run for run in runs if run.trace is not None), None)


def _table(title: str, lanes: Lanes) -> Table:
    states = [at for at in At if at is not At.IDLE]
    return Table(
        title,
        ("client", *(at.value for at in states), "replies", "longest wait"),
        tuple(
            (
                lane.label,
                *(units.seconds(_seconds_at(lane, at)) for at in states),
                units.count(len(lane.answers)),
                units.seconds(max(lane.waits, default=None)),
            )
            for lane in lanes.lanes
        ),
    )


def _seconds_at(lane: Lane, wanted: At) -> float:
    return sum(end - start for at, start, end in lane.spans if at is wanted)
