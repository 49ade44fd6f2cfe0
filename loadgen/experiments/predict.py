"""The viewer's guess, before anything is measured, and how it compares afterwards."""

import re
import sys
from collections.abc import Sequence
from typing import TextIO

from loadgen.experiments import judge
from loadgen.experiments.experiment import Ranking
from loadgen.experiments.quantity import Look, shown, unit_of
from loadgen.show.wrapping import wrapped


class GuessError(ValueError):
    """A guess that cannot be read; its text says why."""


def ask(ranking: Ranking, stdin: TextIO | None = None, out: TextIO | None = None) -> list[str]:
    """Ask for the cases in order, the best first; an empty list when the viewer would rather not.

    On a terminal the question is repeated until it is answered or left with Enter. Elsewhere one
    line is read, such as from a pipe.
    """
    stdin, out = stdin or sys.stdin, out or sys.stderr
    print(wrapped(f"Before it is measured: {ranking.question}", "  ", ""), file=out)
    for number, name in enumerate(ranking.cases, 1):
        print(f"  {number}  {name}", file=out)
    while True:
        print(
            "Your order, best first, as numbers (Enter to go on without): ",
            end="",
            file=out,
            flush=True,
        )
        line = stdin.readline()
        if not stdin.isatty():
            print(line.strip() or "no answer, going on without", file=out)
        if not line.strip():
            return []
        try:
            return parse(line, ranking.cases)
        except GuessError as error:
            print(f"  {error}", file=out)
            if not stdin.isatty():
                return []


def parse(line: str, cases: Sequence[str]) -> list[str]:
    """The cases in the order that a line gives: numbers from 1, or names between commas.

    A line may leave out the rest. Raises GuessError.
    """
    names = {name.lower(): name for name in cases}
    by_comma = [part.strip() for part in line.split(",") if part.strip()]
    parts = (
        by_comma
        if all(part.lower() in names for part in by_comma)
        else re.split(r"[\s,;>]+", line.strip())
    )
    found = []
    for part in filter(None, parts):
        if part.isdecimal() and 1 <= int(part) <= len(cases):
            name = cases[int(part) - 1]
        elif part.lower() in names:
            name = names[part.lower()]
        else:
            raise GuessError(f"{part!r} is none of them; write numbers from 1 to {len(cases)}")
        if name in found:
            raise GuessError(f"{name} stands there twice")
        found.append(name)
    if len(found) < 2:
        raise GuessError("an order takes at least two")
    return found


def reveal(ranking: Ranking, predicted: Sequence[str], look: Look) -> list[str]:
    """The measured order beside the predicted one, and how much of it was right: lines to print."""
    measured = judge.order(ranking, look)
    unit = unit_of(ranking.path)
    lines = [ranking.question]
    for place, name in enumerate(measured, 1):
        guess = f"you said {predicted.index(name) + 1}" if name in predicted else "you did not say"
        value = shown(unit, look(name, ranking.path))
        lines.append(f"  {place}  {name}: {value} ({guess})")
    right, total = judge.pairs_right(ranking, predicted, look)
    if total:
        lines.append(
            f"{right} of {total} pairs in the right order; those within {judge.DRAW:.0%} of each "
            "other count as right either way."
        )
    else:
        lines.append("Too few of those that you ranked were measured to compare.")
    return lines
