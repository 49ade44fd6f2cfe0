"""How often a comparison calls a server different from itself, or from itself a little slower.

    python -m tests.benchmarks aa --comparisons 40
    python -m tests.benchmarks aa --comparisons 40 --slowed 3%

Each comparison is a small one of the kit's own: both servers up, in turns, life after life, judged
as `python -m loadgen` judges a pair. The slowed one has a busy loop before each message that takes
so much of the time that a message takes the server itself, measured first. `loadgen.judge.simulate`
asks the same of made-up runs.
"""

import argparse
import statistics
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from loadgen.command.plans import QUICK_TURN_SECONDS, TURN_WARMUP_SECONDS
from loadgen.command.values import percent, whole
from loadgen.fleet.events import Event
from loadgen.fleet.measure import now
from loadgen.fleet.server import ProgramServer
from loadgen.fleet.task import Task
from loadgen.fleet.turns import measure_in_turns
from loadgen.judge.analysis import analyse
from loadgen.judge.intervals import CONFIDENCE, Ratio
from loadgen.judge.ranks import TOO_SHORT
from loadgen.judge.registry import MESSAGES
from loadgen.judge.rows import Row
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record import environment
from loadgen.record.result import Result, Run

from .slowed_server import nanoseconds_per_loop

LIVES = 5
CLIENTS = 100
# Short turns as in a comparison by default, and few lives, so that many comparisons fit.
TURNS = 4
PLAN = Plan(
    (Group(CLIENTS),),
    duration_seconds=TURNS * QUICK_TURN_SECONDS,
    warmup_seconds=TURN_WARMUP_SECONDS,
    turns=TURNS,
)
SCRIPT = Path(__file__).parent / "slowed_server.py"


@dataclass(frozen=True)
class Comparison:
    """One comparison: how many times the plain server the other one was, and what was made of it.

    `ratio` is None where it could not be judged, and then `why` says why.
    """

    ratio: Ratio | None
    different: bool
    why: str = ""


class _Nobody:
    """A watcher that takes note of nothing."""

    def begin(self, name: str, plan: Plan) -> None: ...
    def turn(self, name: str, life: int, number: int) -> None: ...
    def event(self, event: Event) -> None: ...
    def end(self, name: str, run: Run) -> None: ...


NOBODY: Final = _Nobody()


def server(model: str, times: int) -> ProgramServer:
    """The model with so many times round an empty loop before each message."""
    command = (sys.executable, str(SCRIPT), model, str(times))
    return ProgramServer(model, command)


def compare(model: str, times: int, seed: int, plan: Plan = PLAN) -> Comparison:
    """A against B in LIVES lives; B goes so many times round a loop before each message."""
    runs = []
    for life in range(1, LIVES + 1):
        tasks = [
            Task("A", server(model, 0), replace(plan, seed=seed + life), life, label="A"),
            Task("B", server(model, times), replace(plan, seed=seed + life), life, label="B"),
        ]
        runs += measure_in_turns(tasks, seed + life, NOBODY, threading.Event())
    return judged(runs, seed)


def judged(runs: Sequence[Run], seed: int) -> Comparison:
    """What the kit makes of the runs of A and B."""
    result = Result(
        what="aa",
        command=("python", "-m", "tests.benchmarks", "aa"),
        began=now(),
        finished=now(),
        seed=seed,
        environment=environment.describe(),
        runs=tuple(runs),
    )
    rows = {row.name: row for row in analyse(result).rows}
    if why := _unsound(list(rows.values())):
        return Comparison(None, False, why)
    ratio = rows["B"].ratio(MESSAGES, rows["A"])
    if ratio is None or ratio.p_value is None:
        return Comparison(None, False, "no interval")
    return Comparison(ratio, different=ratio.p_value <= 1 - CONFIDENCE)


def _unsound(rows: Sequence[Row]) -> str:
    """Why rows could not be ranked. That a life is short is no reason: there are several."""
    said = [f"{row.name} {row.unranked}" for row in rows if row.unranked not in (None, TOO_SHORT)]
    return "; ".join(said)


def nanoseconds_per_message(model: str, plan: Plan = PLAN) -> float:
    """What a message takes, by how many the server answers in a second while it has the load."""
    task = Task("A", server(model, 0), replace(plan, duration_seconds=2.0, turns=4), label="A")
    [run] = measure_in_turns([task], 1, NOBODY, threading.Event())
    assert run.tally is not None, run.problem
    return 1e9 * run.tally.window_seconds / run.tally.groups[0].answered_in_window


def summary(found: Sequence[Comparison], what: str) -> str:
    """What came out, in a few lines."""
    known = [one for one in found if one.ratio is not None]
    different = sum(one.different for one in known)
    lines = [f"{what}: called different {different} of {len(known)} times"]
    if known:
        ratios = [one.ratio.mean for one in known if one.ratio is not None]
        halves = [one.ratio.spread or 0.0 for one in known if one.ratio is not None]
        lines[0] += f" ({different / len(known):.1%})"
        lines.append(
            f"B / A: {statistics.median(ratios):.3f} in the median, {min(ratios):.3f} to "
            f"{max(ratios):.3f}; half an interval {statistics.median(halves):.1%} in the median"
        )
    if len(known) < len(found):
        lines.append(f"{len(found) - len(known)} could not be judged: {_reasons(found)}")
    return "\n".join(lines)


def _reasons(found: Sequence[Comparison]) -> str:
    return ", ".join(dict.fromkeys(one.why for one in found if one.why))


def main(words: Sequence[str]) -> None:
    """Compare as often as asked and print what came out; Ctrl-C prints what there is by then."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks aa",
        description="How often a server is called different from itself; some 10 s a comparison.",
    )
    add = parser.add_argument
    add("--comparisons", type=whole(1), default=40, metavar="N", help="how many (40)")
    add("--model", default="selectors", help="which server (selectors)")
    add(
        "--slowed",
        type=percent,
        default=0.0,
        metavar="P%",
        help="compare it with itself slowed by a busy loop of that share of its time per message",
    )
    asked = parser.parse_args(words)
    times = 0
    what = f"{asked.model} against itself"
    if asked.slowed:
        message = nanoseconds_per_message(asked.model)
        times = round(asked.slowed * message / nanoseconds_per_loop())
        what += (
            f" slowed by {asked.slowed:.1%} ({asked.slowed * message:,.0f} ns of {message:,.0f} ns "
            "a message)"
        )
    found: list[Comparison] = []
    try:
        for number in range(1, asked.comparisons + 1):
            found.append(compare(asked.model, times, seed=1000 * number))
            print(f"[{number}/{asked.comparisons}] {_line(found[-1])}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    print(summary(found, what))


def _line(one: Comparison) -> str:
    if one.ratio is None:
        return f"not judged: {one.why}"
    said = "different" if one.different else "no clear difference"
    return f"{one.ratio.mean:.3f} ({one.ratio.low:.3f} to {one.ratio.high:.3f}): {said}"
