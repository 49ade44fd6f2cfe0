"""What a report is about: the rows of its results, under each load, with a name and a look each.

Rows of several results stand side by side under a letter (A, B, ...) per result. Loads are named by
what tells them apart, so that a chart's title says no more than it must.
"""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadgen.judge import units
from loadgen.judge.analysis import Analysis
from loadgen.judge.ranks import headline
from loadgen.judge.rows import Row, Trial, load_of
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.result import Result
from loadgen.show.describe import load_text
from loadgen.show.report.style import Style, style_of


@dataclass(frozen=True)
class Subject:
    """One row of the result at position `result`, where its own rank gives it `place`.

    `name` tells it apart from all others under the same load.
    """

    name: str
    style: Style
    row: Row
    result: int = 0
    place: int = 0

    @property
    def typical(self) -> Trial:
        """The trial in the middle by the ranking figure, for pictures that can show only one."""
        path = headline(self.row.plan).path
        measured = [trial for trial in self.row.trials if trial.run.tally is not None]
        order = sorted(measured or self.row.trials, key=lambda trial: trial.by_path.get(path) or 0)
        return order[len(order) // 2]


@dataclass(frozen=True)
class Load:
    """One load and the subjects under it, in the order of their ranks.

    `label` is empty when there is but one load; `text` says all of it.
    """

    label: str
    text: str
    plan: Plan
    subjects: tuple[Subject, ...]


def letter(position: int) -> str:
    """What a result among several is called: A, B, ..., and numbers when letters run out."""
    return string.ascii_uppercase[position] if position < 26 else str(position + 1)


def parties(results: Sequence[Result]) -> list[tuple[int, ...]]:
    """The positions of results that belong side by side: they share a load, if by way of others.

    Different experiments do not, for they ask different things of a load that they share. Two
    results always do: whoever asks for a page about two wants to see both in one chart.
    """
    if len(results) <= 2:
        return [tuple(range(len(results)))]
    found: list[tuple[tuple[int, ...], set[tuple[Any, ...]]]] = []
    for position, result in enumerate(results):
        asked = result.experiment.name if result.experiment else None
        members: tuple[int, ...] = (position,)
        own = {(asked, *load_of(run.plan)) for run in result.runs}
        for party in [one for one in found if one[1] & own]:
            found.remove(party)
            members, own = party[0] + members, party[1] | own
        found.append((members, own))
    return sorted(tuple(sorted(members)) for members, _ in found)


def loads(analyses: Sequence[Analysis], positions: Sequence[int] = ()) -> list[Load]:
    """Every load of the results, the smaller ones of a result first.

    The same row of several results stands together. `positions` are those of the results on a page
    that is about others as well.
    """
    variants: dict[str, list[tuple[Any, ...]]] = {}
    found: dict[tuple[Any, ...], list[Subject]] = {}
    for position, one in zip(positions or range(len(analyses)), analyses, strict=True):
        for place, row in enumerate(one.rows):
            run = row.run
            seen = variants.setdefault(run.model, [])
            key = (position, run.label, run.python, run.gil)
            if key not in seen:
                seen.append(key)
            name = f"{row.name} ({letter(position)})" if len(analyses) > 1 else row.name
            style = style_of(run.model, seen.index(key))
            found.setdefault(load_of(row.plan), []).append(
                Subject(name, style, row, position, place)
            )
    for same in found.values():
        order = list(dict.fromkeys(subject.row.name for subject in same))
        same.sort(key=lambda subject: order.index(subject.row.name))
    plans = [same[0].row.plan for same in found.values()]
    return [
        Load(label, load_text(plan), plan, tuple(same))
        for label, plan, same in zip(load_labels(plans), plans, found.values(), strict=True)
    ]


def load_labels(plans: Sequence[Plan]) -> list[str]:
    """A few words for each load: those of its properties that not all of them share."""
    alone = all(len(plan.groups) == 1 for plan in plans)
    every = [_properties(plan, alone) for plan in plans]
    keys = list(dict.fromkeys(key for properties in every for key in properties))
    telling = [key for key in keys if _tells(key, every)]
    return [_label(properties, telling) for properties in every]


def _tells(key: tuple[str, str], every: Sequence[Mapping[tuple[str, str], str]]) -> bool:
    """Whether a property differs among the loads that have it, or a group is not in all of them."""
    words = {properties[key] for properties in every if key in properties}
    everywhere = all(key in properties for properties in every)
    return len(words) > 1 or (key[1] == "clients" and not everywhere)


def _label(properties: Mapping[tuple[str, str], str], telling: Sequence[tuple[str, str]]) -> str:
    said = []
    for group, name in telling:
        if (group, name) in properties:
            said.append(properties[group, name])
        elif name == "clients":
            said.append(f"no {group}")
    return ", ".join(said)


def _properties(plan: Plan, alone: bool) -> dict[tuple[str, str], str]:
    """(group, property) -> its words; the plan's own properties belong to no group."""
    said: dict[tuple[str, str], str] = {}
    for group in plan.groups:
        who = "" if alone else group.name
        for name, words in _group_properties(group, who).items():
            said[who, name] = words
    said["", "transport"] = "UDP" if plan.transport == "udp" else "TCP"
    said["", "family"] = {"inet": "IPv4", "inet6": "IPv6"}.get(plan.family, "unix socket")
    said["", "talk"] = f"talk {plan.talk}"
    said["", "framing"] = f"{plan.framing} framing"
    said["", "prefix"] = f"reply prefix {plan.reply_prefix!r}"
    if plan.messages_per_client is not None:
        said["", "messages"] = f"{plan.messages_per_client:,} messages per client"
    said["", "ramp"] = f"{units.seconds(plan.ramp_seconds)} of ramp"
    if plan.connect_rate is not None:
        said["", "connects"] = f"{plan.connect_rate:g} connects/s"
    return said


def _group_properties(group: Group, who: str) -> dict[str, str]:
    of = f"{who} " if who else ""
    clients = who or ("client" if group.clients == 1 else "clients")
    said = {"clients": f"{group.clients:,} {clients}"}
    if group.silent:
        return {**said, "kind": f"{of}silent"}
    said["size"] = f"{of}{units.size(group.size_bytes)}"
    if group.rate_per_second is None:
        said["loop"] = f"{of}closed loop"
        about = "about " if group.think_distribution == "exponential" else ""
        said["think"] = f"{of}thinks {about}{units.seconds(group.think_seconds)}"
    else:
        said["loop"] = f"{of}{group.rate_per_second:,g}/s asked, {group.arrivals} arrivals"
    if group.messages_per_connection is None:
        said["churn"] = f"{of}lasting"
    else:
        said["churn"] = f"{of}{group.messages_per_connection:,} message(s) per connection"
    said["work"] = f"{of}{group.work or 'no work'}"
    if group.request is not None:
        said["request"] = f"{of}{group.request!r}"
    return said
