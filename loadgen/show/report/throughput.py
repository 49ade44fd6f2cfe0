"""The bars of messages/s or connections/s, with their intervals and the trials behind them."""

from collections.abc import Sequence

from loadgen.judge import units
from loadgen.judge.cautions import speeds_in_brief
from loadgen.judge.ranks import ONE_TRIAL, headline
from loadgen.judge.registry import CONNECTIONS, FIGURES, MESSAGES
from loadgen.judge.verdict import GENERATOR
from loadgen.show.report.loads import Load
from loadgen.show.report.panels import Axis, Bar, Bars, Section
from loadgen.show.report.parts import MOST_PANELS, Part, parts_of, some_of
from loadgen.show.report.words import extremes, starved_of, tables_titled
from loadgen.show.table import Table


def throughput(every: Sequence[Load], ready: Sequence[Table]) -> Section | None:
    """Messages/s, or connections/s where clients come and go."""
    shown, said = [], []
    parts = parts_of(some_of(every, MOST_PANELS))
    limits: dict[str, float] = {}
    for part in parts:
        limit = max((_top(bar) for bar in _bars(part)), default=0.0)
        name = part.group.name if part.group else ""
        limits[name] = max(limits.get(name, 0.0), limit)
    for part in parts:
        bars = _bars(part)
        limit = limits[part.group.name if part.group else ""]
        if not limit or all(bar.mean is None for bar in bars):
            continue
        label = FIGURES[_rate(part)].label
        shown.append(Bars(part.title, Axis(label), limit, bars))
        rates = [(bar.name, bar.mean) for bar in bars]
        said.append(extremes(part.title, label, rates, apart=starved_of(part.load)))
    if not shown:
        return None
    kinds = {panel.axis.label for panel in shown}
    about = (
        "Longer is better. A whisker is the 95 % interval of the mean, small circles are single "
        "trials: where whiskers overlap widely, do not call one faster."
    )
    if any(not bar.firm for panel in shown for bar in panel.bars):
        about += " A hatched bar is not to be ranked; beside it stands why."
    return Section(
        "throughput",
        "Connections per second" if kinds == {"connections/s"} else "Throughput",
        about,
        tuple(shown),
        tuple(said),
        tables_titled(ready, "Throughput", "Groups of clients"),
    )


def _rate(part: Part) -> str:
    """The path of the rate that a part's bars show."""
    return CONNECTIONS if headline(part.load.plan).path == CONNECTIONS else MESSAGES


def _bars(part: Part) -> tuple[Bar, ...]:
    path = part.path + _rate(part)
    made = []
    for subject in part.load.subjects:
        row = subject.row
        found = row.estimate(path)
        why = row.unranked if row.unranked != ONE_TRIAL else None
        if found is not None and row.bound.bound == GENERATOR:
            why = why or "generator-limited"
        if found is None:
            text = "not measured"
        elif row.speeds is not None and path == MESSAGES:
            text = speeds_in_brief(row.speeds)
        elif found.spread is None:
            text = units.rate(found.mean)
        else:
            text = f"{units.rate(found.mean)} ± {units.spread(found)}"
        made.append(
            Bar(
                subject.name,
                subject.style,
                f"{text} ({why})" if why else text,
                found.mean if found else None,
                found.low if found else None,
                found.high if found else None,
                tuple(row.measured(path)),
                why is None,
            )
        )
    return tuple(made)


def _top(bar: Bar) -> float:
    """How far a bar's marks reach.

    An interval over two trials that differ may reach ten times as far as any of them; it runs off
    the chart rather than flatten every bar on it.
    """
    longest = max((bar.mean or 0.0, *bar.trials))
    return min(bar.high or 0.0, 1.5 * longest) if bar.high else longest
