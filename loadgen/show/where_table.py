"""The table of where a message's time went, for servers whose clients were traced."""

from collections.abc import Sequence
from typing import Final

from loadgen.judge import units
from loadgen.judge.rows import Row
from loadgen.judge.where import Part, Where, where
from loadgen.show.table import Table

NOTE: Final = (
    "Means of traced messages, from the window's beginning on; the parts add up to the latency. "
    "Each moment belongs to the first part that applies: in the talk, its message was worked on; "
    "behind others, its thread was at other traced messages; for the GIL, another thread of its "
    "interpreter ran; for a core, none did, and it was not done; way in and back: the kernel, "
    "waking up, waiting to be read."
)


def where_table(found: Sequence[Row]) -> Table | None:
    """A line for each server and group, with the mean of each part; None without a trace."""
    lines = [
        (row.name, group, together([one[group] for one in every if group in one]))
        for row in found
        if (every := [one for trial in row.trials if (one := where(trial.run))])
        for group in dict.fromkeys(name for one in every for name in one)
    ]
    if not lines:
        return None
    parts = [part for part in Part if any(one.parts[part] >= 1e-9 for _, _, one in lines)]
    several = len({group for _, group, _ in lines}) > 1
    return Table(
        "Where a message's time went",
        ("server", *(["group"] if several else []), "latency", *(_header(part) for part in parts)),
        tuple(
            (
                name,
                *([group] if several else []),
                units.seconds(one.latency_seconds),
                *(units.seconds(one.parts[part]) for part in parts),
            )
            for name, group, one in lines
        ),
        words=(0, 1) if several else (0,),
        notes=(NOTE,),
    )


def together(every: Sequence[Where]) -> Where:
    """The means over several trials, each message counting once."""
    messages = sum(one.messages for one in every)
    return Where(
        messages,
        sum(one.latency_seconds * one.messages for one in every) / messages,
        {part: sum(one.parts[part] * one.messages for one in every) / messages for part in Part},
    )


def _header(part: Part) -> str:
    """The part's words, on two lines."""
    first, _, rest = part.value.rpartition(" ")
    return f"{first}\n{rest}"
