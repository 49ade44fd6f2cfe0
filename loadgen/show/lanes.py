"""Lanes as text: who ran when, for any terminal, and what is seen there in a sentence."""

from collections.abc import Mapping
from math import floor, log10
from statistics import median
from typing import Final

from concurrency_models.backends import MODELS
from loadgen.judge import units
from loadgen.judge.lanes import At, Lane, Lanes
from loadgen.judge.names import listed
from loadgen.show.wrapping import WIDTH, wrapped

MARKS: Final[Mapping[At, str]] = {
    At.RUNS: "#",
    At.BEHIND: "-",
    At.WAITS: "~",
    At.OUTSIDE: ".",
    At.IDLE: " ",
}
ANSWERED: Final = "!"
LEGEND: Final = "  ".join(
    [f"{mark} {at.value}" for at, mark in MARKS.items() if at is not At.IDLE]
    + [f"{ANSWERED} a reply came"]
)
"""What the marks mean. A reply is marked where no work was asked for that would show."""

SELDOM: Final = 0.02
"""A share of the time that may be none: what runs gives a sign every 0.1 ms, and not all along."""

BUSY_CORES: Final = 0.2
"""Cores that other programs took, from which on a picture says so: it shows them, too."""


def picture(found: Mapping[str, Lanes], width: int = WIDTH) -> str:
    """Lanes of several servers, by what each is called, under a legend, in `width` columns."""
    edge = max(len(lane.label) for lanes in found.values() for lane in lanes.lanes) + 3
    columns = width - edge - 1
    parts = [wrapped(LEGEND, "", width=width)]
    for name, lanes in found.items():
        parts.append("\n".join(_server(name, lanes, edge, columns, width)))
    return "\n\n".join(parts)


def _server(name: str, lanes: Lanes, edge: int, columns: int, width: int) -> list[str]:
    model = MODELS.get(name.split(maxsplit=1)[0])
    title = f"{name}: {model.summary}" if model else name
    return [
        wrapped(title, "  ", "", width),
        *(
            f"{lane.label:>{edge - 2}} |{_marks(lane, lanes.seconds, columns)}|"
            for lane in lanes.lanes
        ),
        _ruler(lanes.seconds, edge, columns),
        wrapped(f"{sentence(lanes)}.", "  ", width=width),
    ]


def _marks(lane: Lane, seconds: float, columns: int) -> str:
    """What the client was at for most of each column, and where its replies came."""
    shares: list[dict[At, float]] = [{} for _ in range(columns)]
    for at, start, end in lane.spans:
        first, last = start / seconds * columns, end / seconds * columns
        for column in range(floor(first), min(columns, floor(last) + 1)):
            covered = min(last, column + 1) - max(first, column)
            shares[column][at] = shares[column].get(at, 0.0) + covered
    marks = []
    for share in shares:
        idle = 1.0 - sum(share.values())
        at = max(share, key=lambda one: share[one], default=At.IDLE)
        marks.append(MARKS[At.IDLE if idle > share.get(at, 0.0) else at])
    if not lane.works:
        for answer in lane.answers:
            marks[min(columns - 1, floor(answer / seconds * columns))] = ANSWERED
    return "".join(marks)


def _ruler(seconds: float, edge: int, columns: int) -> str:
    """Round times, where they stand."""
    step = round_step(seconds / 5)
    line = " " * (edge + columns + 1)
    for place in range(floor(seconds / step * (1 + 1e-9)) + 1):
        text = units.seconds(place * step) if place else "0"
        at = edge + round(place * step / seconds * columns) - (place > 0)
        at = min(at, edge + columns + 1 - len(text))
        line = line[:at] + text + line[at + len(text) :]
    return line.rstrip()


def round_step(about: float) -> float:
    """The round number that is nearest above: 1, 2 or 5, times a power of ten."""
    power: float = 10.0 ** floor(log10(about))
    return next(power * times for times in (1, 2, 5, 10) if power * times >= about * 0.999)


def sentence(lanes: Lanes) -> str:
    """What is seen in a server's lanes, in a sentence: only what was measured."""
    outside = [lane.label for lane in lanes.lanes if not lane.let_in]
    said = [_together(lanes)]
    if len(lanes.lanes) < lanes.clients:
        said[0] = f"of these {len(lanes.lanes)} of {lanes.clients:,} clients {said[0]}"
    if outside:
        said.append(f"{listed(outside)} {'was' if len(outside) == 1 else 'were'} never let in")
    said += [_waited(lane) for lane in lanes.lanes if not lane.works and lane.waits]
    if lanes.other_cores and lanes.other_cores > BUSY_CORES:
        said.append(f"other programs took {units.number(lanes.other_cores)} cores")
    return "; ".join(said)


def _together(lanes: Lanes) -> str:
    running = [lane for lane in lanes.lanes if any(at is At.RUNS for at, _, _ in lane.spans)]
    if len(running) < 2:
        return f"only {running[0].label} ran" if running else "nobody ran"
    share = lanes.together_seconds / lanes.running_seconds
    if share > SELDOM:
        return f"two or more ran at once for {share:.0%} of the time"
    gave_way = [times for lane in running for times in lane.gave_way]
    if any(gave_way):
        each = units.number(sum(gave_way) / len(gave_way))
        return f"never two ran at once, and a message gave way to others {each} times on average"
    return "never two ran at once, and each message ran to its end before another did"


def _waited(lane: Lane) -> str:
    waited = f"{lane.label} waited {units.seconds(median(lane.waits))} for a reply"
    return f"{waited} (median; at most {units.seconds(max(lane.waits))})"
