"""What gets a picture of its own: loads, or the groups of those that mix some, and not too many."""

from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.plan.group import Group
from loadgen.record.tally import GroupTally
from loadgen.show.report.loads import Load, Subject

# More pictures side by side than this tell nobody anything; the tables have the rest.
MOST_PANELS = 8


@dataclass(frozen=True)
class Part:
    """One group of one load, or all of a load with one group. `path` leads to its figures."""

    load: Load
    title: str
    path: str
    group: Group | None

    def tally(self, subject: Subject) -> GroupTally:
        if self.group is None:
            return subject.row.pooled
        return subject.row.pooled_group(self.group.name)

    @property
    def open_loop(self) -> bool:
        groups = self.load.plan.groups if self.group is None else (self.group,)
        return any(group.open_loop for group in groups)


def parts_of(every: Sequence[Load]) -> list[Part]:
    """What has figures of its own: a load, or each talking group of one that mixes groups.

    Like groups of several loads stand together.
    """
    mixed = any(len(load.plan.groups) > 1 for load in every)
    found: dict[str, list[Part]] = {}
    for load in every:
        if not mixed:
            found.setdefault("", []).append(Part(load, load.label, "", None))
            continue
        for group in load.plan.groups:
            if group.silent:
                continue
            alone = len(load.plan.groups) == 1
            title = ": ".join(words for words in (group.name, load.label) if words)
            part = Part(load, title, "" if alone else f"groups.{group.name}.", group)
            found.setdefault(group.name, []).append(part)
    return [part for same in found.values() for part in same]


def some_of(every: Sequence[Load], most: int) -> list[Load]:
    """The loads that get pictures of their own: all, or some evenly spread ones with the last."""
    if len(every) <= most:
        return list(every)
    if most == 1:
        return [every[-1]]
    step = (len(every) - 1) / (most - 1)
    return [every[round(position * step)] for position in range(most)]


def left_out(few: Sequence[Load], every: Sequence[Load]) -> str:
    """A sentence on which loads are drawn, where not all are."""
    if len(few) == len(every):
        return ""
    return f" Drawn for {len(few)} of {len(every)} loads: {' and '.join(one.label for one in few)}."
