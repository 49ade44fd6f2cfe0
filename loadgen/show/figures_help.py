"""What each figure is, for whoever reads a run.json or writes a --require."""

from collections.abc import Sequence
from itertools import groupby

from loadgen.judge.registry import CLOCKS, SECTIONS, STATISTICS, Figure
from loadgen.show.wrapping import wrapped

_HOW = (
    "Every figure by its path in run.json, as --require takes it: 'PATH >= NUMBER', in the units "
    "named here. A row of the tables is one server under one load. How its trials become one "
    "number is said with each figure, and that number is the one in tables, ranks, curves, diff "
    "and --require. The window is the measured part of a run, after the warm-up."
)
_FAMILIES = (
    "groups.NAME.PATH is the same figure for one group of clients, where there are several and "
    "the path is not one of the server's, the engine's or the machine's. kernel.NAME is how far a "
    "counter of the kernel moved, as a sum of the trials; probe.NAME is what the client of an "
    "experiment counted."
)


def help_figures() -> str:
    """Every figure of the registry, in lines that fit the terminal where words allow it."""
    parts = [wrapped(_HOW, ""), wrapped(_FAMILIES, "")]
    for title, figures in SECTIONS.items():
        entries = [wrapped(title, "")]
        for clock, same in groupby(figures, key=_clock_of):
            if clock is None:
                entries += [_entry([_head(one)], one.definition, one) for one in same]
            else:
                together = list(same)
                heads = [f"{_head(one)}: {_statistic(one)}" for one in together]
                entries.append(_entry(heads, CLOCKS[clock][1], together[-1]))
        parts.append("\n".join(entries))
    return "\n\n".join(parts) + "\n"


def _entry(heads: Sequence[str], definition: str, figure: Figure) -> str:
    """Figures that share a definition, with their unit and the like, which are those of one."""
    direction = [figure.better.value] if figure.better else []
    how = ", ".join([figure.unit.name, *direction, figure.over_trials.value])
    below = [wrapped(line, "      ") for line in (definition, f"[{how}]")]
    return "\n".join([*(f"  {head}" for head in heads), *below])


def _head(figure: Figure) -> str:
    return f"{figure.path} ({figure.label})"


def _clock_of(figure: Figure) -> str | None:
    clock = figure.path.rpartition(".")[0]
    return clock if clock in CLOCKS else None


def _statistic(figure: Figure) -> str:
    return STATISTICS[figure.path.rpartition(".")[2]]
