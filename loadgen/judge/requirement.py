"""What a run must reach, as `--require` takes it: a figure's path, a comparison and a number."""

import difflib
import math
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.judge.registry import FIGURES, figure_of
from loadgen.judge.rows import Row

_OPERATORS = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM = re.compile(r"\s*([A-Za-z_][\w.\-]*)\s*(>=|<=|==|!=|>|<)\s*([-+]?[\d.][\w.+-]*)\s*")


class RequirementError(ValueError):
    """A requirement that cannot be understood; its text is a sentence for a person."""


@dataclass(frozen=True)
class Requirement:
    """A figure's path in the JSON, such as "latency_seconds.p99", and what it must be."""

    path: str
    comparison: str
    bound: float

    def __str__(self) -> str:
        """As `parse` reads it: a bound is the same number again, as far as people write digits."""
        return f"{self.path} {self.comparison} {self.bound:.15g}"

    def failures(self, found: Sequence[Row]) -> list[str]:
        """A sentence per row that does not fulfil it, or of which that cannot be told.

        A row's figure is the one in the tables. It must have been measured in every trial: what was
        not measured fulfils nothing. Where it has an interval, all of that must fulfil it: a value
        that chance may have put on this side of the bound is no proof.
        """
        said = []
        for row in found:
            value = row.value(self.path)
            if value is None or None in row.values(self.path):
                said.append(f"{row.name}: {self} cannot be told, {self.path} was not measured")
                continue
            low, high = self._ends(row) or (value, value)
            met = [self.holds(end) for end in (low, high)]
            if not any(met):
                said.append(f"{row.name}: {self} is not met, {self.path} is {value:.6g}")
            elif not all(met):
                said.append(
                    f"{row.name}: {self} cannot be told, {self.path} is {value:.6g}, and may be "
                    f"{low:.6g} to {high:.6g}; more --lives or --trials narrow that down"
                )
        return said

    def holds(self, value: float) -> bool:
        """Whether a value fulfils it."""
        return bool(_OPERATORS[self.comparison](value, self.bound))

    def _ends(self, row: Row) -> tuple[float, float] | None:
        """The ends of the interval; None where it says nothing, or only one value will do."""
        if self.comparison in ("==", "!="):
            return None
        return row.bounds(self.path)


def parse(text: str) -> Requirement:
    """The requirement in "FIGURE >= NUMBER". Raises RequirementError with what to write instead."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise RequirementError(
            f"{text!r} is not a requirement; write 'FIGURE >= NUMBER' (or > < <= == !=), such as "
            "'messages_per_second >= 20000' or 'latency_seconds.p99 < 0.005'"
        )
    path, comparison, number = form.groups()
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise RequirementError(f"{number!r} in {text!r} is not a number")
    try:
        figure_of(path)
    except KeyError:
        near = difflib.get_close_matches(path, FIGURES, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise RequirementError(
            f"there is no figure {path!r}; {hint}--help-figures lists them all"
        ) from None
    return Requirement(path, comparison, bound)
