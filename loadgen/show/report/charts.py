"""Panels as Bokeh figures: marks, axes and colours, and no arithmetic on what was measured.

Every figure is as wide as the page lets it be and has no toolbar, so that a finger on a phone
scrolls the page. Names stand above their bars instead of beside them, which leaves narrow screens
room. Marks that a legend can hide are listed by series in `Drawn`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Literal

from bokeh.core.properties import value as constant
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    CustomJSTickFormatter,
    DataRange1d,
    FixedTicker,
    HoverTool,
    LogTicker,
    NoOverlap,
    NumeralTickFormatter,
    PanTool,
    Range1d,
    ResetTool,
    ZoomInTool,
    ZoomOutTool,
)
from bokeh.models.annotations import BoxAnnotation, Span, TeeHead, Title, Whisker
from bokeh.models.renderers import Renderer
from bokeh.plotting import figure
from bokeh.themes import Theme

from loadgen.judge import units
from loadgen.show.report.panels import (
    ANSWERED,
    AT_STYLES,
    STATES,
    WAITING,
    Axis,
    Bars,
    Lanes,
    Lines,
    Panel,
    Reaches,
    Running,
    Strips,
)

INK = "#1A1A1A"
QUIET = "#6B6B6B"
GRID = "#E3E3E3"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
REPLY = "first reply"
LANE = 46  # pixels for a client's lane
FAR = "18px"  # letters that are read from the last row of a class
ROW = 50  # pixels for one subject's name and its marks

THEME = Theme(
    json={
        "attrs": {
            "Plot": {
                "background_fill_color": "white",
                "border_fill_color": "white",
                "outline_line_color": None,
                "min_border_left": 8,
                "min_border_right": 14,
                "min_border_top": 4,
                "min_border_bottom": 4,
            },
            "Axis": {
                "axis_line_color": "#9A9A9A",
                "major_tick_line_color": "#9A9A9A",
                "minor_tick_line_color": None,
                "major_label_text_font": FONT,
                "major_label_text_font_size": "14px",
                "major_label_text_color": INK,
                "axis_label_text_font": FONT,
                "axis_label_text_font_size": "15px",
                "axis_label_text_font_style": "normal",
                "axis_label_text_color": INK,
                "axis_label_standoff": 6,
            },
            "Grid": {"grid_line_color": GRID},
            "Title": {
                "text_font": FONT,
                "text_font_size": "16px",
                "text_font_style": "bold",
                "text_color": INK,
            },
        }
    }
)

# Code rather than models: a model belongs to one page, and one process may write several.
_SHARES = 'return tick < 1 ? "1/" + Math.round(1 / tick) : String(Math.round(tick))'
_SECONDS = """
const [factor, unit] = tick < 9.995e-4 ? [1e6, "us"] : tick < 0.9995 ? [1e3, "ms"] : [1, "s"]
return tick === 0 ? "0" : Number((tick * factor).toPrecision(3)) + " " + unit
"""


@dataclass(frozen=True)
class Drawn:
    """A figure, and those marks that a legend can hide by the name of their series."""

    figure: figure
    marks: dict[str, tuple[Renderer, ...]]


@singledispatch
def draw(panel: Panel) -> Drawn:
    """One panel as a figure."""
    raise TypeError(f"no chart for {type(panel).__name__}")


@draw.register
def _(panel: Bars) -> Drawn:
    names = [(bar.name, bar.text) for bar in panel.bars]
    plot = _rows(panel.title, names, Range1d(start=0, end=panel.limit * 1.04))
    plot.xaxis.axis_label = panel.axis.label
    plot.xaxis.ticker = BasicTicker(desired_num_ticks=4)
    plot.xaxis.formatter = NumeralTickFormatter(format="0,0.[0]")
    measured = [(-place, bar) for place, bar in enumerate(panel.bars) if bar.mean is not None]
    source = _source(
        y=[y for y, _ in measured],
        mean=[bar.mean for _, bar in measured],
        color=[bar.style.color for _, bar in measured],
        alpha=[0.85 if bar.firm else 0.15 for _, bar in measured],
        hatch=[" " if bar.firm else "right_diagonal_line" for _, bar in measured],
        tip=[f"{bar.name}: {bar.text} {panel.axis.label}" for _, bar in measured],
    )
    drawn = plot.hbar(
        y="y",
        right="mean",
        height=0.4,
        source=source,
        fill_color="color",
        fill_alpha="alpha",
        line_color="color",
        hatch_pattern="hatch",
        hatch_color="color",
        hatch_scale=8,
    )
    sure = [(y, bar.low, bar.high) for y, bar in measured if bar.low is not None and bar.high]
    if sure:
        base = _source(
            y=[y for y, _, _ in sure],
            low=[low for _, low, _ in sure],
            high=[high for _, _, high in sure],
        )
        plot.add_layout(_whisker(base, "y", INK, "width"))
    trials = [(y, value) for y, bar in measured for value in bar.trials if len(bar.trials) > 1]
    if trials:
        plot.scatter(
            [value for _, value in trials],
            [y for y, _ in trials],
            size=7,
            fill_color="white",
            line_color=INK,
            line_width=1.2,
        )
    _hover(plot, [drawn])
    return Drawn(plot, {})


@draw.register
def _(panel: Lines) -> Drawn:
    y_range = DataRange1d(only_visible=True, range_padding=0.08)
    if not panel.y.log:
        y_range.start = 0
    plot = _figure(
        panel.title,
        340,
        x_axis_type="log" if panel.x.log else "linear",
        y_axis_type="log" if panel.y.log else "linear",
        # Hiding the series that dwarfs the others makes room for them.
        x_range=DataRange1d(only_visible=True, range_padding=0.03),
        y_range=y_range,
    )
    _number(plot.xaxis, panel.x, [line.xs for line in panel.lines])
    _number(plot.yaxis, panel.y, [line.ys for line in panel.lines])
    if panel.shade is not None:
        low, high = panel.shade
        plot.add_layout(
            BoxAnnotation(left=low, right=high, fill_color="#F1F4F8", fill_alpha=1, level="image")
        )
    marks: dict[str, tuple[Renderer, ...]] = {}
    touched = []
    far = 3 * max((y for line in panel.lines for y in line.ys), default=0.0)
    for line in panel.lines:
        source = _source(x=list(line.xs), y=list(line.ys))
        made: list[Renderer] = [
            plot.line(
                "x",
                "y",
                source=source,
                line_color=line.style.color,
                line_width=3,
                line_dash=line.style.dash,
            )
        ]
        if line.lows:
            base = _source(x=list(line.xs), low=list(line.lows), high=list(line.highs))
            whisker = _whisker(base, "x", line.style.color, "height")
            plot.add_layout(whisker)
            # The axis knows nothing of whiskers: an unseen mark at each end makes it reach so far,
            # unless the interval is so wide that the lines would lie flat.
            tops = [min(high, far) for high in line.highs]
            made += [whisker, plot.scatter(list(line.xs), tops, alpha=0)]
        if line.knee is not None:
            made.append(
                plot.scatter(
                    [line.xs[line.knee]],
                    [line.ys[line.knee]],
                    size=24,
                    fill_color=None,
                    line_color=line.style.color,
                    line_width=3,
                )
            )
        at = _source(
            x=[line.xs[mark] for mark in line.marks],
            y=[line.ys[mark] for mark in line.marks],
            tip=[
                f"{line.name}: {_word(panel.y, line.ys[mark])} at {_word(panel.x, line.xs[mark])}"
                for mark in line.marks
            ],
        )
        dots = plot.scatter(
            "x",
            "y",
            source=at,
            marker=line.style.marker,
            size=11,
            fill_color=line.style.color,
            line_color="white",
            line_width=1,
        )
        made.append(dots)
        touched.append(dots)
        marks[line.name] = tuple(made)
    _hover(plot, touched)
    return Drawn(plot, marks)


@draw.register
def _(panel: Reaches) -> Drawn:
    spans = [
        (offset - place, what, row, pair)
        for place, row in enumerate(panel.rows)
        for offset, what, pair in ((0.1, "connect", row.connect), (-0.14, REPLY, row.first_reply))
        if pair is not None
    ]
    known = [value for _, _, _, pair in spans for value in pair]
    low, high = min(known) / 1.5, max(known) * 1.5
    names = [(row.name, row.text) for row in panel.rows]
    plot = _rows(panel.title, names, Range1d(start=low, end=high), log=True)
    _number(plot.xaxis, Axis("since connect() was called", "seconds", log=True), [known])
    plot.segment(
        [pair[0] for _, _, _, pair in spans],
        [y for y, _, _, _ in spans],
        [pair[1] for _, _, _, pair in spans],
        [y for y, _, _, _ in spans],
        line_color=[row.style.color for _, _, row, _ in spans],
        line_width=3,
    )
    ends = [
        (y, what, row, at, value)
        for y, what, row, pair in spans
        for at, value in zip(("p50", "p99"), pair, strict=True)
    ]
    source = _source(
        x=[value for _, _, _, _, value in ends],
        y=[y for y, _, _, _, _ in ends],
        marker=[row.style.marker for _, _, row, _, _ in ends],
        color=[row.style.color for _, _, row, _, _ in ends],
        fill=[row.style.color if what == REPLY else "white" for _, what, row, _, _ in ends],
        tip=[f"{row.name}: {what} {at} {units.seconds(v)}" for _, what, row, at, v in ends],
    )
    dots = plot.scatter(
        "x",
        "y",
        source=source,
        marker="marker",
        size=11,
        line_width=2,
        line_color="color",
        fill_color="fill",
    )
    _hover(plot, [dots])
    return Drawn(plot, {})


@draw.register
def _(panel: Strips) -> Drawn:
    shares = [share for strip in panel.strips for share in strip.shares]
    # On a logarithmic axis half the share is as far from 1 as twice it; zero stands at the left.
    least = min((share for share in shares if share), default=1.0)
    nothing = min(0.1, 10.0 ** math.floor(math.log10(least))) / 10 ** (not all(shares))
    most = max(4.0, *shares)
    names = [(strip.name, strip.text) for strip in panel.strips]
    plot = _rows(panel.title, names, Range1d(start=nothing / 1.5, end=most * 1.5), log=True)
    plot.xaxis.axis_label = "times the even share"
    powers = range(round(math.log10(nothing)), math.floor(math.log10(most)) + 1)
    plot.xaxis.ticker = FixedTicker(ticks=sorted([0.5, 2.0, *(10.0**power for power in powers)]))
    plot.xaxis.formatter = CustomJSTickFormatter(code=_SHARES)
    if not all(shares):
        plot.xaxis.major_label_overrides = {nothing: "nothing"}
    plot.add_layout(Span(location=1, dimension="height", line_color=QUIET, line_dash="dashed"))
    dots = [
        # Three rows of dots show how many there are where they fall together.
        (share or nothing, share, (number % 3 - 1) * 0.12 - place, strip)
        for place, strip in enumerate(panel.strips)
        for number, share in enumerate(strip.shares)
    ]
    source = _source(
        x=[x for x, _, _, _ in dots],
        y=[y for _, _, y, _ in dots],
        marker=[strip.style.marker for _, _, _, strip in dots],
        color=[strip.style.color for _, _, _, strip in dots],
        tip=[f"{strip.name}: {share:.3g} times the even share" for _, share, _, strip in dots],
    )
    drawn = plot.scatter(
        "x",
        "y",
        source=source,
        marker="marker",
        size=9,
        fill_color="color",
        fill_alpha=0.5,
        line_color="color",
    )
    _hover(plot, [drawn])
    return Drawn(plot, {})


@draw.register
def _(panel: Lanes) -> Drawn:
    count = len(panel.lanes)
    plot = _figure(
        panel.title,
        90 + 11 * max(count, 4),
        x_range=Range1d(start=0, end=panel.seconds),
        y_range=Range1d(start=-count + 0.4, end=0.6),
    )
    plot.grid.visible = False
    plot.xaxis.axis_label = "seconds since the run began"
    plot.xaxis.ticker = BasicTicker(desired_num_ticks=5)
    shown = [place for place in range(count) if place == 0 or (place + 1) % 5 == 0]
    several = any(not label.isdecimal() for label in panel.labels)
    places = range(count) if several and count <= 6 else shown
    plot.yaxis.ticker = FixedTicker(ticks=sorted(-place for place in places))
    plot.yaxis.major_label_overrides = {-place: panel.labels[place] for place in places}
    if not several:
        plot.yaxis.axis_label = "client"
    marks: dict[str, tuple[Renderer, ...]] = {}
    touched = []
    for state, style in STATES.items():
        parts = [
            (-place, part, panel.labels[place])
            for place, lane in enumerate(panel.lanes)
            for part in lane
            if part.state == state
        ]
        if not parts:
            continue
        source = _source(
            y=[y for y, _, _ in parts],
            left=[part.start for _, part, _ in parts],
            right=[part.end for _, part, _ in parts],
            tip=[
                f"client {label}: {state} from {part.start:.3f} s to {part.end:.3f} s"
                for _, part, label in parts
            ],
        )
        drawn = plot.hbar(
            y="y",
            left="left",
            right="right",
            height=0.72,
            source=source,
            fill_color=style.color,
            line_color=None,
            hatch_pattern="right_diagonal_line" if state == WAITING else None,
            hatch_color="white",
            hatch_alpha=0.8,
            hatch_scale=7,
            hatch_weight=1.5,
        )
        touched.append(drawn)
        marks[state] = (drawn,)
    _hover(plot, touched)
    return Drawn(plot, marks)


@draw.register
def _(panel: Running) -> Drawn:
    lanes = panel.lanes.lanes
    plot = _figure(
        "",
        LANE * len(lanes) + 120,
        x_range=Range1d(start=0, end=panel.lanes.seconds, bounds=(0, panel.lanes.seconds)),
        y_range=Range1d(start=-len(lanes) + 0.45, end=0.55),
    )
    plot.grid.visible = False
    plot.xgrid.visible = True
    plot.title = Title(text=panel.title, text_font_size="20px")
    plot.axis.major_label_text_font_size = FAR
    plot.xaxis.ticker = BasicTicker(desired_num_ticks=5)
    plot.xaxis.formatter = CustomJSTickFormatter(code=_SECONDS)
    plot.yaxis.ticker = FixedTicker(ticks=sorted(-place for place in range(len(lanes))))
    plot.yaxis.major_label_overrides = {-place: lane.label for place, lane in enumerate(lanes)}
    marks: dict[str, tuple[Renderer, ...]] = {}
    for at, (style, ground, pattern) in AT_STYLES.items():
        parts = [
            (-place, start, end, lane.label)
            for place, lane in enumerate(lanes)
            for one, start, end in lane.spans
            if one is at
        ]
        if not parts:
            continue
        source = _source(
            y=[y for y, _, _, _ in parts],
            left=[start for _, start, _, _ in parts],
            right=[end for _, _, end, _ in parts],
            tip=[
                f"{label} {at.value} for {units.seconds(end - start)}, from {units.seconds(start)}"
                for _, start, end, label in parts
            ],
        )
        marks[at.value] = (
            plot.hbar(
                y="y",
                left="left",
                right="right",
                height=0.8,
                source=source,
                fill_color=ground,
                line_color=None,
                hatch_pattern=pattern,
                hatch_color=style.color,
                hatch_scale=9,
                hatch_weight=2,
            ),
        )
    name, style = ANSWERED
    answers = [
        (-place, at, f"{lane.label} had its reply after {units.seconds(waited)}")
        for place, lane in enumerate(lanes)
        if not lane.works
        for at, waited in zip(lane.answers, lane.waits, strict=True)
    ]
    if answers:
        source = _source(
            x=[at for _, at, _ in answers],
            low=[y - 0.4 for y, _, _ in answers],
            high=[y + 0.4 for y, _, _ in answers],
            tip=[tip for _, _, tip in answers],
        )
        marks[name] = (
            plot.segment(
                x0="x", x1="x", y0="low", y1="high",
                source=source, line_color=style.color, line_width=5,
            ),
        )  # fmt: skip
    _hover(plot, [mark for same in marks.values() for mark in same])
    # Buttons and no gestures: a finger on a phone, and a wheel, go on scrolling the page.
    plot.add_tools(
        ZoomInTool(dimensions="width", factor=0.5),
        ZoomOutTool(dimensions="width", factor=0.5),
        PanTool(dimensions="width"),
        ResetTool(),
    )
    plot.toolbar_location = "above"
    plot.toolbar.logo = None
    plot.toolbar.active_drag = None
    return Drawn(plot, marks)


def _figure(title: str, height: int, **axes: Any) -> figure:
    """An empty figure, as wide as there is room."""
    plot = figure(
        title=title or None,
        height=height,
        sizing_mode="stretch_width",
        toolbar_location=None,
        tools="",
        **axes,
    )
    plot.axis.major_label_policy = NoOverlap()
    return plot


def _rows(title: str, names: Sequence[tuple[str, str]], span: Range1d, log: bool = False) -> figure:
    """A figure with a row for each subject, at y = 0, -1, -2 and so on.

    `names` are pairs of its name and its figure, which stand above the room for its marks.
    """
    plot = _figure(
        title,
        ROW * len(names) + 62 + (26 if title else 0),
        x_axis_type="log" if log else "linear",
        x_range=span,
        y_range=Range1d(start=-len(names) + 0.66, end=0.8),
    )
    plot.yaxis.visible = False
    plot.ygrid.visible = False
    left = span.start if log else 0
    plot.text(
        [left] * len(names),
        [0.3 - place for place in range(len(names))],
        text=[f"{name}   {text}" for name, text in names],
        text_font=constant(FONT),
        text_font_size="15px",
        text_color=INK,
        text_baseline="bottom",
        x_offset=1,
    )
    return plot


def _whisker(
    source: ColumnDataSource, base: str, color: str, dimension: Literal["width", "height"]
) -> Whisker:
    """Intervals from the columns `low` to `high` at `base`."""
    return Whisker(
        source=source,
        base=base,
        lower="low",
        upper="high",
        dimension=dimension,
        line_color=color,
        line_width=2,
        upper_head=TeeHead(size=10, line_color=color, line_width=2),
        lower_head=TeeHead(size=10, line_color=color, line_width=2),
    )


def _number(axes: Any, axis: Axis, series: Sequence[Sequence[float]]) -> None:
    """Ticks and their labels for one kind of number."""
    axes.axis_label = axis.label
    values = [value for one in series for value in one]
    if axis.kind == "percentile":
        powers = range(1, len(str(int(max(values, default=10)))))
        axes.ticker = FixedTicker(ticks=[2, *(10**power for power in powers)])
        axes.major_label_overrides = {
            2: "50",
            **{10**power: f"{100 - 100 / 10**power:.10g}" for power in powers},
        }
    elif axis.kind == "seconds":
        axes.formatter = CustomJSTickFormatter(code=_SECONDS)
        axes.ticker = LogTicker(desired_num_ticks=5, num_minor_ticks=0)
    elif axis.log:
        chosen = sorted(set(values))
        axes.ticker = FixedTicker(ticks=chosen)
        axes.formatter = NumeralTickFormatter(format="0,0")
    else:
        axes.ticker = BasicTicker(desired_num_ticks=5)
        axes.formatter = NumeralTickFormatter(format="0,0.[00]")


def _source(**columns: list[Any]) -> ColumnDataSource:
    return ColumnDataSource(data=columns)


def _word(axis: Axis, value: float) -> str:
    if axis.kind == "percentile":
        return f"{100 - 100 / value:.10g} %"
    if axis.kind == "seconds":
        return units.seconds(value)
    return f"{units.rate(value)} {axis.label}"


def _hover(plot: figure, touched: Sequence[Any]) -> None:
    """Show a mark's `tip` under the mouse."""
    plot.add_tools(
        HoverTool(
            renderers=list(touched),
            tooltips='<div style="font: 15px sans-serif">@tip</div>',
            visible=False,
        )
    )
