"""What an experiment's page leads with, as data; how it looks is seen elsewhere."""

from dataclasses import replace

import pytest

from loadgen.judge.analysis import analyse
from loadgen.record.lesson import Cell, MeasuredCase, Part, Picture, Series, TableColumn
from loadgen.record.result import Result
from loadgen.show.report.lesson import Lesson, lesson
from loadgen.show.report.panels import CONNECTING, SERVED, WAITING
from loadgen.show.report.style import style_of
from tests import report_results
from tests.report_results import everything
from tests.runs import result, run


def lesson_of(made: Result) -> Lesson:
    found = lesson(analyse(made))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def told() -> Lesson:
    return lesson_of(report_results.lesson())


def pictured(part: Part, *cases: MeasuredCase) -> Lesson:
    """The lesson of an experiment with these cases, and this part as its picture."""
    made = report_results.lesson()
    assert made.experiment is not None
    return lesson_of(
        replace(made, experiment=replace(made.experiment, cases=cases, picture=Picture((part,))))
    )


def of_values(values: dict[str, float]) -> Lesson:
    """The lesson whose picture has a bar of each of these values."""
    cases = [MeasuredCase(name, {"served": Cell(value)}) for name, value in values.items()]
    return pictured(Part("", (Series("served"),), tuple(values)), *cases)


def test_a_result_of_no_experiment_has_no_lesson() -> None:
    assert lesson(analyse(result(run()))) is None


def test_an_experiment_that_was_saved_without_a_picture_is_told_without() -> None:
    old = lesson_of(everything())
    assert not old.pictured
    assert old.table is None
    assert (old.bars, old.stairs, old.ticks, old.notes, old.ranked) == ((), (), (), (), ())


def test_what_a_bar_says_is_no_program() -> None:
    case = MeasuredCase("a", {"served": Cell(3)}, (0,))
    says = ("{value} {of} {else} {", "{value.__class__}", "{value:999999}")
    [bars] = pictured(Part("P", tuple(Series("served", text) for text in says), ("a",)), case).bars
    assert [bar.text for bar in bars.bars] == ["3 - {else} {", *says[1:]]


def test_bars_stand_in_the_order_of_the_experiment_with_their_figures(told: Lesson) -> None:
    served = told.bars[0]
    assert [(bar.case, bar.text) for bar in served.bars] == [
        ("one at a time", "1 of 10 are served"),
        ("a thread each", "10 of 10 are served"),
        ("a goroutine each", "there is no model 'go' in this version"),
    ]
    assert [bar.length for bar in served.bars] == [10, 100, None]
    assert [bar.mark for bar in served.bars] == [100, 100, None]
    assert served.bars[1].style == style_of("thread")


def test_a_scale_reaches_over_the_whiskers(told: Lesson) -> None:
    one, other = told.bars[1].bars
    assert (one.text, one.interval) == ("500 ms", (66.67, 100))
    assert other.length == pytest.approx(41.67)
    assert "A whisker is the 95 % interval." in told.notes


def test_a_wide_interval_does_not_make_all_bars_short() -> None:
    part = Part("", (Series("served"),), ("it",))
    [bar] = pictured(part, MeasuredCase("it", {"served": Cell(10.0, (-5.0, 90.0))})).bars[0].bars
    assert bar.length == pytest.approx(66.67)
    assert bar.interval == (0, 100)


def test_where_one_bar_is_thousands_of_times_another_each_step_is_ten_times() -> None:
    found = of_values({"it": 20.0, "that": 1e5, "none": 0.0})
    [bars] = found.bars
    assert [(tick.text, tick.at) for tick in bars.ticks] == [
        ("10", 0), ("100", 25), ("1,000", 50), ("10,000", 75), ("100,000", 100),
    ]  # fmt: skip
    assert [bar.length for bar in bars.bars] == [pytest.approx(7.53), 100, 0]
    assert "Each step of the scale is ten times the one before." in found.notes


def test_the_least_of_such_bars_has_a_length_though_it_is_a_power_of_ten() -> None:
    [bars] = of_values({"it": 1.0, "that": 1e4}).bars
    assert [bar.length for bar in bars.bars] == [20, 100]
    assert [tick.text for tick in bars.ticks] == ["1", "10", "100", "1,000", "10,000"]


def test_a_case_has_a_bar_for_each_series_under_one_name() -> None:
    part = Part("", (Series("served"), Series("connected", "{value} came")), ("it",))
    case = MeasuredCase("it", {"served": Cell(2.0), "connected": Cell(4.0)})
    one, other = pictured(part, case).bars[0].bars
    assert (one.case, one.text, one.length, one.further) == ("it", "2", 50, 0)
    assert (other.case, other.text, other.length, other.further) == ("", "4 came", 100, 1)


def test_what_was_not_measured_is_said_and_not_drawn() -> None:
    part = Part("", (Series("served", nothing="nobody came"),), ("it", "gone"))
    it, gone = pictured(part, MeasuredCase("it")).bars[0].bars
    assert (it.text, it.length) == ("nobody came", None)
    assert (gone.text, gone.length) == ("nobody came", None)


def test_figures_of_a_later_version_are_shown_as_numbers() -> None:
    part = Part("", (Series("figure_of_tomorrow"),), ("it",))
    [bar] = pictured(part, MeasuredCase("it", {"figure_of_tomorrow": Cell(3.5)})).bars[0].bars
    assert bar.text == "3.50"


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [("probe.replies", 2000.0, "2,000"), ("probe.replies", 7.5, "7.50"), ("served", 3.0, "3")],
)
def test_counts_are_whole_numbers(path: str, value: float, text: str) -> None:
    part = Part("", (Series(path),), ("it",))
    [bar] = pictured(part, MeasuredCase("it", {path: Cell(value)})).bars[0].bars
    assert bar.text == text


def test_lanes_make_a_staircase_over_common_seconds(told: Lesson) -> None:
    one, thread = told.stairs
    assert one.title == "one at a time"
    assert one.text == "1 of 10 served, the last after 99.0 ms; longest connect(): 1.00 ms"
    assert [part.state for part in one.lanes[0]] == [CONNECTING, WAITING, SERVED]
    assert {tuple(part.state for part in lane) for lane in one.lanes[1:]} == {(CONNECTING, WAITING)}
    assert thread.text.startswith("10 of 10 served")
    ends = {
        round(lane[-1].left + lane[-1].width) for stairs in told.stairs for lane in stairs.lanes
    }
    assert ends == {100}
    assert [state for state, _ in told.states] == [CONNECTING, WAITING, SERVED]


def test_the_ruler_begins_at_0_and_has_round_moments(told: Lesson) -> None:
    assert (told.ticks[0].at, told.ticks[0].text) == (0, "0 s")
    assert 3 <= len(told.ticks) <= 7
    steps = [after.at - tick.at for tick, after in zip(told.ticks, told.ticks[1:], strict=False)]
    assert max(steps) - min(steps) < 0.1


def test_the_measured_order_stands_beside_the_predicted_one(told: Lesson) -> None:
    assert told.told.predictions == ("one at a time", "a thread each")
    assert told.ranked == ("a thread each: 10", "one at a time: 1")


def test_its_own_table_has_every_case(told: Lesson) -> None:
    assert told.table is not None
    assert told.table.headers == ("case", "served", "connected", "first reply max")
    assert told.table.rows[1:] == (
        ("a thread each", "10", "10", "250 ms"),
        ("a goroutine each", "-", "-", "-"),
    )


def test_a_mark_is_named_by_its_column() -> None:
    made = report_results.lesson()
    assert made.experiment is not None
    named = replace(made.experiment, columns=(TableColumn("who came", "connected"),))
    assert lesson_of(replace(made, experiment=named)).notes[0] == "A dashed line: who came."
