"""What a report's charts show, as data."""

from dataclasses import replace

import pytest

from loadgen.plan.group import Group
from loadgen.record.histogram import Histogram
from loadgen.record.monitor import Sample, ServerCost
from loadgen.record.result import Result, Run
from loadgen.record.tally import Lane
from loadgen.show.report.fairness import MOST_DOTS, even_shares
from loadgen.show.report.latency import tail
from loadgen.show.report.over_time import cpu_over_time, rate_over_time
from loadgen.show.report.panels import (
    CONNECTING,
    SERVED,
    SILENT,
    WAITING,
    Bars,
    Lanes,
    Lines,
    Running,
    Section,
    Stretch,
)
from loadgen.show.report.parts import MOST_PANELS
from loadgen.show.report.style import style_of
from loadgen.show.report.swimlanes import lanes_of
from tests import runs
from tests.report_results import everything, sections_of
from tests.runs import group_tally, plan, result, run, starving, tally, trials
from tests.test_lanes import lanes
from tests.traces import two_in_turn

LOOK = style_of("thread")


def section(anchor: str, *results: Result) -> Section:
    return next(one for one in sections_of(*results) if one.anchor == anchor)


def test_bars_carry_the_mean_its_interval_and_every_trial() -> None:
    throughput = section("throughput", result(*trials("thread", [200, 210, 220])))
    (panel,) = throughput.panels
    assert isinstance(panel, Bars)
    (bar,) = panel.bars
    assert bar.trials == (1000.0, 1050.0, 1100.0)
    assert bar.mean is not None
    assert bar.low is not None
    assert bar.high is not None
    assert bar.mean == pytest.approx((1000 * 1050 * 1100) ** (1 / 3))
    assert bar.low < bar.mean < bar.high
    assert bar.firm


@pytest.mark.parametrize("anchor", ["throughput", "latency", "connect"])
def test_who_starved_clients_is_neither_the_best_nor_the_worst(anchor: str) -> None:
    found = section(anchor, result(run("thread"), run("process"), starving()))
    said = found.says[-1]
    assert said.endswith("without iterative, where clients starved.")
    assert "(iterative)" not in said
    assert "iterative" in section(anchor, result(starving())).says[-1]


def test_one_trial_has_no_interval_and_starving_is_not_firm() -> None:
    throughput = section("throughput", result(run(), starving()))
    (panel,) = throughput.panels
    assert isinstance(panel, Bars)
    by_name = {bar.name: bar for bar in panel.bars}
    assert by_name["thread"].low is None
    assert by_name["thread"].firm
    assert not by_name["iterative"].firm
    assert "starved clients" in by_name["iterative"].text


def test_what_did_not_run_is_said_and_not_drawn_as_zero() -> None:
    failed = replace(run("process"), tally=None, problem="it did not start")
    throughput = section("throughput", result(run(), failed))
    (panel,) = throughput.panels
    assert isinstance(panel, Bars)
    assert [bar.mean for bar in panel.bars if bar.name == "process"] == [None]
    assert "not measured for process" in throughput.says[0]


def test_a_report_of_nothing_but_failures_has_no_charts() -> None:
    failed = replace(run(), tally=None, problem="it did not start", server=ServerCost())
    assert sections_of(result(failed)) == []


def test_the_tail_runs_through_the_percentiles_and_ends_at_one_in_all() -> None:
    histogram = Histogram()
    for position in range(1, 1001):
        histogram.record(position * 1_000_000)
    line = tail("thread", LOOK, histogram)
    assert list(line.xs) == sorted(line.xs)
    assert list(line.ys) == sorted(line.ys)
    assert (line.xs[0], line.xs[-1]) == (1.0, 1000.0)
    assert line.ys[-1] == histogram.max
    marked = {line.xs[mark]: line.ys[mark] for mark in line.marks}
    assert marked == {
        2: histogram.percentile(50),
        10: histogram.percentile(90),
        100: histogram.percentile(99),
        1000: histogram.percentile(99.9),
    }


def test_a_tail_of_one_value_is_a_point() -> None:
    histogram = Histogram()
    histogram.record(1_000_000)
    line = tail("thread", LOOK, histogram)
    assert line.xs == (1.0,)
    assert line.marks == ()


def test_open_loop_shows_response_and_service_time() -> None:
    open_loop = run(plan=plan(Group(10, rate_per_second=1000)))
    (panel,) = section("latency", result(open_loop)).panels
    assert isinstance(panel, Lines)
    assert [line.name for line in panel.lines] == ["thread", "thread, service"]
    assert panel.lines[0].style.dash != panel.lines[1].style.dash


@pytest.mark.parametrize(
    ("lane", "stretches"),
    [
        (
            Lane(0, 0.0, 0.1, 0.3, 0.9, 7),
            (Stretch(CONNECTING, 0.0, 0.1), Stretch(WAITING, 0.1, 0.3), Stretch(SERVED, 0.3, 0.9)),
        ),
        (Lane(0, 0.0, 0.1), (Stretch(CONNECTING, 0.0, 0.1), Stretch(WAITING, 0.1, 2.5))),
        (Lane(0, 0.0, None, None, 1.0), (Stretch(CONNECTING, 0.0, 1.0),)),
    ],
)
def test_a_lane_is_a_client_s_life(lane: Lane, stretches: tuple[Stretch, ...]) -> None:
    group = group_tally()
    group.lanes = [lane, Lane(1)]
    panel = lanes_of(replace(run(), tally=tally(group)), "thread")
    assert panel is not None
    assert panel.lanes == (stretches,)
    assert panel.labels == ("1",)


def test_silent_clients_do_not_wait_for_a_reply() -> None:
    busy, idle = group_tally(name="busy"), group_tally(name="idle", served=0)
    busy.lanes = [Lane(0, 0.0, 0.1, 0.2)]
    idle.lanes = [Lane(0, 0.0, 0.1)]
    groups = plan(Group(10, "busy"), Group(10, "idle", silent=True))
    panel = lanes_of(replace(run(), plan=groups, tally=tally(busy, idle)), "thread")
    assert panel is not None
    assert panel.labels == ("busy 1", "idle 1")
    assert [part.state for part in panel.lanes[1]] == [CONNECTING, SILENT]


def test_all_lanes_share_one_time_scale() -> None:
    panels = section("lanes", everything()).panels
    assert len({panel.seconds for panel in panels if isinstance(panel, Lanes)}) == 1


def test_shares_are_multiples_of_the_mean_with_both_ends_kept() -> None:
    assert even_shares([0, 0, 30, 10]) == (0.0, 0.0, 1.0, 3.0)
    many = even_shares([0, *range(1000, 5000), 100_000])
    assert len(many) == MOST_DOTS
    assert many[0] == 0
    assert many[-1] == pytest.approx(100_000 * 4002 / (100_000 + sum(range(1000, 5000))))


def sampled(*pairs: tuple[float, float]) -> ServerCost:
    return ServerCost(samples=tuple(Sample(at, cpu, None, 1, 1) for at, cpu in pairs))


def test_cpu_is_what_was_used_since_a_while_before() -> None:
    watched = sampled((-1, 1.0), (0, 1.0), (1, 1.5), (2, 2.5))
    assert cpu_over_time(replace(run(), server=watched)) == [(0, 0.0), (1, 0.5), (2, 1.0)]


def test_cpu_over_a_few_ticks_is_not_shown() -> None:
    watched = sampled((0, 1.0), (0.1, 1.01), (0.2, 1.02), (0.3, 1.15))
    ((at, cores),) = cpu_over_time(replace(run(), server=watched))
    assert at == 0.3
    assert cores == pytest.approx(0.5)


def test_a_run_that_was_over_at_once_has_no_rate_over_time() -> None:
    group = group_tally()
    group.timeline = [4]
    assert rate_over_time(replace(run(), tally=tally(group))) == []


def test_the_rate_over_time_leaves_the_last_slice_out_and_joins_many() -> None:
    group = group_tally()
    group.timeline, group.timeline_slice_seconds = [10, 20, 5], 0.1
    assert rate_over_time(replace(run(), tally=tally(group))) == [
        pytest.approx((0.05, 100)),
        pytest.approx((0.15, 200)),
    ]
    group.timeline = [10] * 1001
    points = rate_over_time(replace(run(), tally=tally(group)))
    assert len(points) == 250
    assert {round(rate, 6) for _, rate in points} == {100}


def test_many_loads_are_drawn_in_part_and_that_is_said() -> None:
    runs = [run(plan=plan(Group(10, size_bytes=2**size))) for size in range(12)]
    latency = section("latency", result(*runs))
    assert len(latency.panels) == MOST_PANELS
    assert f"Drawn for {MOST_PANELS} of 12 loads" in latency.about


def test_a_curve_has_a_point_per_value_and_rings_its_knee() -> None:
    answers = {1: 1000, 10: 1000, 100: 100}
    runs = [
        replace(
            run("thread", trial, plan=plan(Group(count))), tally=tally(group_tally(count, each))
        )
        for count, each in answers.items()
        for trial in (1, 2, 3)
    ]
    curve = section("curves", result(*runs))
    rate = curve.panels[0]
    assert isinstance(rate, Lines)
    assert rate.lines[0].xs == (1, 10, 100)
    assert rate.lines[0].knee == 1
    assert "knee at 10" in curve.says[0]


def test_every_section_has_sentences_and_tables_with_the_same_servers() -> None:
    for one in sections_of(everything()):
        assert one.says, one.title
        assert one.tables, one.title
        assert one.panels, one.title


def test_who_was_traced_has_a_lane_and_the_swimlanes_make_room() -> None:
    found = sections_of(result(replace(two_in_turn(), label="mine")))
    assert "lanes" not in [one.anchor for one in found]
    [running] = [one for one in found if one.anchor == "running"]
    [panel] = running.panels
    assert isinstance(panel, Running)
    assert [lane.label for lane in panel.lanes.lanes] == ["A", "B", "quick"]
    assert [name for name, _ in running.legend] == [
        "runs", "waits while others run", "waits while none does", "a reply came",
    ]  # fmt: skip
    assert running.says[0].startswith("mine: never two ran at once")
    [table] = running.tables
    assert table.headers[:3] == ("client", "runs", "waits while others run")
    assert table.rows[1][:3] == ("B", "10.0 ms", "10.0 ms")


def test_lanes_of_one_run_each_stand_as_they_ran_and_those_of_turns_as_they_rank() -> None:
    slow, quick = (
        replace(two_in_turn(), label=label, model=label, began=f"2026-01-02T03:04:0{second}+00:00")
        for label, second in (("slow", 1), ("quick", 2))
    )
    assert quick.tally is not None
    # It ranks first so.
    fast = replace(quick, tally=runs.tally(*quick.tally.groups, window=0.01))

    def order(*every: Run) -> list[str]:
        [found] = [one for one in sections_of(result(*every)) if one.anchor == "running"]
        return [panel.title for panel in found.panels]

    assert order(slow, fast) == ["slow", "quick"]
    assert order(*(replace(run, trial=trial) for run in (slow, fast) for trial in (1, 2))) == [
        "quick", "slow",
    ]  # fmt: skip


def test_lanes_are_read_from_the_last_row() -> None:
    from loadgen.show.report.charts import draw  # noqa: PLC0415 - Bokeh takes a second

    drawn = draw(Running("mine", lanes(two_in_turn())))
    assert {axis.major_label_text_font_size for axis in drawn.figure.axis} == {"18px"}
    assert set(drawn.marks) == {
        "runs", "waits while others run", "waits while none does", "a reply came",
    }  # fmt: skip
