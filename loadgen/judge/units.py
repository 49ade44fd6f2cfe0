"""Numbers as people read them: three significant digits, a unit that fits, '-' for not measured."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from loadgen.judge.intervals import Estimate

NOT_MEASURED = "-"


def seconds(value: float | None) -> str:
    """A duration: 830 us, 12.3 ms, 4.05 s."""
    if value is None:
        return NOT_MEASURED
    if value == 0:
        return "0 s"
    for factor, unit in ((1e9, "ns"), (1e6, "us"), (1e3, "ms")):
        if value * factor < 999.5:
            return f"{_digits(value * factor)} {unit}"
    return f"{_digits(value)} s"


def size(value: float | None) -> str:
    """A number of bytes: 64 B, 12.3 KiB, 130 MiB."""
    if value is None:
        return NOT_MEASURED
    if value < 0:  # a difference of two peaks, or a slope, may be
        return f"-{size(-value)}"
    if value < 1024:
        return f"{value:.0f} B"
    for unit in ("KiB", "MiB"):
        value /= 1024
        if value < 999.5:
            return f"{_digits(value)} {unit}"
    return f"{_digits(value / 1024)} GiB"


def mebibytes(value: float | None) -> str:
    """A number of bytes in MiB, without the unit."""
    return NOT_MEASURED if value is None else _digits(value / 1024**2)


def count(value: float | None) -> str:
    """A whole number: 24,512."""
    return NOT_MEASURED if value is None else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """A number per second: 24,512; small ones with three digits: 3.25."""
    if value is None:
        return NOT_MEASURED
    return f"{value:,.0f}" if value >= 99.95 else _digits(value)


def number(value: float | None) -> str:
    """A plain number with three digits."""
    return NOT_MEASURED if value is None else _digits(value)


def few(value: float | None) -> str:
    """A small number of things, with two decimals at most: 2.03, 0.00, 151."""
    if value is None:
        return NOT_MEASURED
    return f"{value:.2f}" if value < 9.995 else _digits(value)


def fraction(value: float | None) -> str:
    """A number from 0 to 1, such as Jain's index; 1.00 only when it is that near."""
    if value is None:
        return NOT_MEASURED
    return f"{value:.3f}" if 0.995 <= value < 0.9995 or value < 0.1 else f"{value:.2f}"


def share(value: float | None) -> str:
    """A number from 0 to 1 as a percentage: 87%."""
    return NOT_MEASURED if value is None else f"{value:.0%}"


def spread(estimate: Estimate | None) -> str:
    """Half an interval, as a share of the mean: 4%; one that reaches to 0: >99%."""
    if estimate is None or estimate.spread is None:
        return NOT_MEASURED
    share = estimate.spread
    return f"{share:.1%}" if share < 0.0995 else f"{share:.0%}" if share < 0.995 else ">99%"


def times(value: float) -> str:
    """A ratio: 1.34, 12, 130."""
    return f"{value:.2f}" if value < 9.95 else f"{value:.0f}"


def _digits(value: float) -> str:
    """Three significant digits, never in powers of ten."""
    if value >= 99.95 or value == 0:
        return f"{value:,.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.01 else f"{value:.2g}"


@dataclass(frozen=True)
class Unit:
    """What a figure's number counts, `name` as it is in the JSON.

    `shown` writes it where a header says what it is; `suffix` stands behind it anywhere else.
    """

    name: str
    shown: Callable[[float | None], str]
    suffix: str = ""

    def said(self, value: float | None) -> str:
        """The number as it stands on its own."""
        return NOT_MEASURED if value is None else self.shown(value) + self.suffix


COUNT: Final = Unit("count", count)
PER_SECOND: Final = Unit("per second", rate, "/s")
SECONDS: Final = Unit("seconds", seconds)
BYTES: Final = Unit("bytes", size)
BYTES_PER_SECOND: Final = Unit("bytes per second", size, "/s")
CORES: Final = Unit("cores", number, " cores")
SHARE: Final = Unit("0 to 1", share)
INDEX: Final = Unit("1/n to 1", fraction)
NUMBER: Final = Unit("number", number)
