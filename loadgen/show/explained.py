"""What goes with a difference: the figures of a message in which the slower server took more.

Nothing is said of causes. A figure is named where it differs clearly, beyond its interval, and by
enough for it to matter.
"""

from dataclasses import dataclass
from typing import Final

from loadgen.judge import units
from loadgen.judge.registry import (
    FAULTS_PER_MESSAGE,
    FORCED_PER_MESSAGE,
    SWITCHES_PER_MESSAGE,
    SYSTEM_PER_MESSAGE,
    USER_PER_MESSAGE,
)
from loadgen.judge.rows import Row

TIMES: Final = 1.25
"""How many times the other's it must be."""

SECONDS: Final = 1e-6
"""By how much time it must be more; a message takes some 10 us of CPU."""

NUMBER: Final = 0.1
"""By how many it must be more: one for every tenth message."""

MOST: Final = 2
"""Figures that are named: the first two of those that differ, in the order in which they stand."""


@dataclass(frozen=True)
class _Part:
    path: str
    words: str
    matters: float

    def shown(self, value: float) -> str:
        return units.few(value) if self.matters == NUMBER else units.seconds(value)


PARTS: Final = (
    _Part(SWITCHES_PER_MESSAGE, "switches a message", NUMBER),
    _Part(SYSTEM_PER_MESSAGE, "of kernel time", SECONDS),
    _Part(USER_PER_MESSAGE, "of user time", SECONDS),
    _Part(FAULTS_PER_MESSAGE, "page faults a message", NUMBER),
    _Part(FORCED_PER_MESSAGE, "forced switches a message", NUMBER),
)


def explained(row: Row, other: Row) -> str | None:
    """In what a row took more for a message than another one; None where nothing is clear."""
    said = [text for part in PARTS if (text := _more(part, row, other))]
    return " and ".join(said[:MOST]) or None


def _more(part: _Part, row: Row, other: Row) -> str | None:
    own, others = row.value(part.path), other.value(part.path)
    if own is None or others is None or own < TIMES * others or own - others < part.matters:
        return None
    ratio = row.ratio(part.path, other)
    if ratio is not None and ratio.low is not None and ratio.low <= 1:
        return None
    return f"{part.shown(own)} {part.words} against {part.shown(others)}"
