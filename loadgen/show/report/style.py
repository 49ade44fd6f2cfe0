"""How a model looks: the same colour and marker in every chart of every report, by its name.

Colours are those of Okabe and Ito ("Color Universal Design", 2008), which people with any kind of
colour blindness tell apart, without the yellow, which is too pale on white. Colour is never alone:
markers differ too, and dashes tell variants of one model apart. Kindred models share a colour.
"""

from dataclasses import dataclass
from typing import Final
from zlib import crc32

BLACK: Final = "#000000"
ORANGE: Final = "#E69F00"
SKY: Final = "#56B4E9"
GREEN: Final = "#009E73"
BLUE: Final = "#0072B2"
VERMILLION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
COLORS: Final = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)

DASHES: Final = ("solid", "dashed", "dotted", "dotdash")

# Each marker's outline in a square from 0 to 12, for the legends; the names are Bokeh's.
MARKERS: Final = {
    "circle": "M6 1 A5 5 0 1 1 5.99 1 Z",
    "square": "M1.5 1.5 H10.5 V10.5 H1.5 Z",
    "triangle": "M6 1 L11.5 10.5 H0.5 Z",
    "diamond": "M6 0.5 L10.5 6 L6 11.5 L1.5 6 Z",
    "inverted_triangle": "M6 11 L0.5 1.5 H11.5 Z",
    "hex": "M6 0.5 L11 3.3 V8.7 L6 11.5 L1 8.7 V3.3 Z",
    "star": "M6 0 L7.6 4.1 L12 4.4 L8.6 7.2 L9.7 11.5 L6 9.1 L2.3 11.5 L3.4 7.2 L0 4.4 L4.4 4.1 Z",
}

_KNOWN: Final = {
    "iterative": (BLACK, "circle"),
    "thread": (BLUE, "triangle"),
    "socketserver": (SKY, "diamond"),
    "thread-pool": (BLUE, "hex"),
    "accept-threads": (BLUE, "square"),
    "executor-threads": (SKY, "hex"),
    "executor-processes": (VERMILLION, "diamond"),
    "process-threads": (VERMILLION, "hex"),
    "subinterpreters": (SKY, "star"),
    "process": (VERMILLION, "square"),
    "fork": (ORANGE, "square"),
    "prefork": (ORANGE, "inverted_triangle"),
    "reuseport": (VERMILLION, "inverted_triangle"),
    "fd-passing": (ORANGE, "hex"),
    "selectors": (GREEN, "circle"),
    "selectors-pool": (GREEN, "hex"),
    "gevent": (GREEN, "star"),
    "asyncio-streams": (PURPLE, "circle"),
    "asyncio-server": (PURPLE, "hex"),
    "asyncio-protocol": (PURPLE, "diamond"),
    "uvloop": (PURPLE, "triangle"),
    "trio": (PURPLE, "star"),
}


@dataclass(frozen=True)
class Style:
    """A colour as #RRGGBB, a marker and a dash by Bokeh's names."""

    color: str
    marker: str
    dash: str = "solid"


def style_of(model: str, variant: int = 0) -> Style:
    """The look of a model, by its name alone; an unknown name's is computed from its letters.

    `variant` counts the model's rows beyond the first: another interpreter, label or result.
    """
    dash = DASHES[variant % len(DASHES)]
    if model in _KNOWN:
        color, marker = _KNOWN[model]
    else:
        number = crc32(model.encode())
        color = COLORS[number % len(COLORS)]
        marker = tuple(MARKERS)[number // len(COLORS) % len(MARKERS)]
    return Style(color, marker, dash)
