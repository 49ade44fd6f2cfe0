"""Curves over made-up rows, whose knees and slopes can be worked out by hand."""

import json
from dataclasses import replace

import pytest

from concurrency_models.parser import USAGE_ERROR
from loadgen.command.parser import make_parser
from loadgen.command.plans import plans_of
from loadgen.judge.analysis import analyse
from loadgen.judge.curves import Curve, curves, least_squares
from loadgen.judge.document import document
from loadgen.judge.verdict import GENERATOR, SERVER, WAITING
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.plan.validation import PlanError
from loadgen.record.files import dumps
from loadgen.record.histogram import Histogram
from loadgen.record.result import Ceiling, Result, Run
from loadgen.record.tally import GroupTally
from loadgen.show import curve_tables
from tests.runs import cost, group_tally, result, rows, run, tally

# Clients -> answers to each in the window of 2 s: 1,000, 9,500, 10,000 and 4,000 messages/s.
ANSWERS = {1: 2000, 10: 1900, 100: 200, 1000: 8}
CORES = {1: 0.1, 10: 1.0, 100: 1.1, 1000: 1.1}


def one_run(clients: int, model: str = "thread", served: int | None = None) -> Run:
    server = replace(cost(CORES[clients]), memory_bytes=10_000_000 + 1000 * clients)
    group = group_tally(clients, ANSWERS[clients], served=served)
    plan = Plan((Group(clients),), duration_seconds=2.0)
    return replace(run(model), plan=plan, tally=tally(group), server=server)


def lives(clients: int) -> list[Run]:
    """Three of them, which differ by 1 %."""
    found = []
    for trial, more in enumerate((0.99, 1.0, 1.01), start=1):
        one = one_run(clients)
        assert one.tally is not None
        [group] = one.tally.groups
        answered = round(group.answered_in_window * more)
        changed = replace(group, answered_in_window=answered)
        found.append(replace(one, trial=trial, tally=replace(one.tally, groups=[changed])))
    return found


def curve_of(*runs: Run, bound: float = 0.1) -> Curve:
    [curve] = curves(rows(result(*runs)), bound)
    return curve


ALL = [one_run(clients) for clients in (100, 1, 1000, 10)]


def test_points_rise_by_what_was_varied() -> None:
    curve = curve_of(*ALL)
    assert (curve.name, curve.by, curve.what) == ("thread", "clients", "clients")
    assert [point.value for point in curve.points] == [1, 10, 100, 1000]
    assert [point.rate for point in curve.points] == pytest.approx([1000, 9500, 10_000, 4000])
    assert [point.served for point in curve.points] == [1, 10, 100, 1000]


def test_the_knee_is_the_first_load_that_comes_near_the_highest_rate() -> None:
    curve = curve_of(*(one for clients in ANSWERS for one in lives(clients)))
    assert (curve.knee, curve.rising) == (10, False)
    assert curve.bend == 10
    assert "and falls to 4,000 at 1,000 clients (0.40 times the most)" in curve_tables.sentence(
        curve
    )


def test_there_is_no_knee_where_the_intervals_allow_none() -> None:
    once = curve_of(*ALL)
    assert (once.knee, once.bend, once.lowest_beyond) == (10, None, None)
    said = "the most were 10,000 messages/s at 100 clients; where throughput stops rising, the"
    assert said in curve_tables.sentence(once)
    unknown = curve_of(one_run(1), *lives(10), *lives(100))
    assert (unknown.knee, unknown.bend) == (10, None)


def test_a_curve_that_still_rises_has_no_known_knee() -> None:
    curve = curve_of(*lives(1), *lives(10))
    assert (curve.knee, curve.rising) == (10, True)
    assert curve.bend is None
    assert "still rises at 10 clients" in curve_tables.sentence(curve)


def test_a_knee_that_the_generator_made_is_not_called_the_servers() -> None:
    # The engine reached hardly more under 100 clients, against a server that does nothing.
    ceiling = Ceiling(10_500.0, 0.9, 0.4, 1, plan=one_run(100).plan)
    found = result(*ALL, ceilings=(ceiling,))
    [curve] = analyse(found).curves
    assert [point.bound for point in curve.points] == [WAITING, SERVER, GENERATOR, SERVER]
    assert (curve.knee, curve.generator_knee, curve.bend) == (10, True, None)
    assert "the load generator could do no more, and the server can;" in curve_tables.sentence(
        curve
    )
    saved = json.loads(dumps(document(analyse(found))))
    assert Result.from_json(saved).ceilings == (ceiling,)
    falling = curve_of(*(one for clients in ANSWERS for one in lives(clients)))
    said = curve_tables.sentence(replace(falling, generator_knee=True))
    assert "and the server can; throughput falls to 4,000 at 1,000 clients" in said


@pytest.mark.parametrize(
    ("bound", "within", "past"),
    [(1.0, 1000, None), (0.1, 100, 1000), (0.005, 10, 100), (0.0001, None, 1)],
)
def test_how_far_p99_stays_within_the_bound(
    bound: float, within: float | None, past: float | None
) -> None:
    curve = curve_of(*ALL, bound=bound)
    assert (curve.within_bound, curve.past_bound) == (within, past)


def test_a_client_that_was_never_served_is_past_any_bound() -> None:
    curve = curve_of(one_run(1), one_run(10, served=9), bound=1.0)
    assert (curve.within_bound, curve.past_bound) == (1, 10)


def test_at_a_low_rate_who_has_no_message_is_not_unserved() -> None:
    def paced(rate: float) -> Run:
        group = group_tally(10, 20, served=4)
        group = replace(group, intended=group.answered, waiting=0, lateness=Histogram())
        plan = Plan((Group(10, rate_per_second=rate),), duration_seconds=2.0)
        return replace(run(), plan=plan, tally=tally(group))

    curve = curve_of(paced(2.0), paced(4.0), bound=1.0)
    assert [point.unserved for point in curve.points] == [0, 0]
    assert (curve.within_bound, curve.past_bound) == (4.0, None)


def test_what_a_client_costs_is_the_slope() -> None:
    curve = curve_of(*ALL)
    memory, cpu = curve.memory_bytes_per_client, curve.cpu_cores_per_client
    assert memory is not None
    assert memory.slope == pytest.approx(1000)
    assert memory.intercept == pytest.approx(10_000_000)
    assert memory.r_squared == pytest.approx(1)
    assert memory.points == 4
    assert cpu is not None  # up to the knee: from 0.1 cores with 1 client to 1.0 with 10
    assert cpu.slope == pytest.approx(0.1)
    assert cpu.points == 2


def test_what_was_not_measured_is_left_out() -> None:
    blind = [
        replace(one, server=replace(one.server, memory_bytes=None, cpu_seconds=None)) for one in ALL
    ]
    curve = curve_of(*blind)
    assert curve.memory_bytes_per_client is None
    assert curve.cpu_cores_per_client is None
    gone = replace(one_run(1000), tally=None, problem="it did not start")
    assert [point.value for point in curve_of(*ALL[:2], gone).points] == [1, 100]


def test_each_server_has_a_curve_of_its_own() -> None:
    runs = [one_run(clients, model) for clients in (1, 10) for model in ("thread", "process")]
    assert sorted(curve.name for curve in curves(rows(result(*runs)))) == ["process", "thread"]


def test_one_load_makes_no_curve_and_neither_does_a_mix() -> None:
    assert curves(rows(result(one_run(10)))) == []
    mixed = [
        replace(one, plan=replace(one.plan, groups=(*one.plan.groups, Group(5, name="more"))))
        for one in (replace(one_run(10), tally=None), replace(one_run(100), tally=None))
    ]
    assert curves(rows(result(*mixed))) == []


def test_loads_that_differ_in_two_numbers_make_none() -> None:
    runs = [
        replace(one, plan=replace(one.plan, groups=(Group(clients, size_bytes=clients),)))
        for clients in (10, 100)
        for one in [one_run(clients)]
    ]
    assert curves(rows(result(*runs))) == []


def test_silent_clients_that_grow_beside_busy_ones_make_a_curve() -> None:
    busy = one_run(10)
    assert busy.tally is not None
    grown = []
    for count in (1000, 10_000):
        idle = GroupTally("idle", clients=count, connected=count, held=count)
        groups = (Group(10, "busy"), Group(count, "idle", silent=True))
        plan = Plan(groups, duration_seconds=2.0)
        grown.append(replace(busy, plan=plan, tally=tally(*busy.tally.groups, idle)))
    curve = curve_of(*grown)
    assert curve.what == "idle clients"
    assert [point.value for point in curve.points] == [1000, 10_000]


def test_where_a_rate_is_given_the_p99_counts_from_when_messages_were_due() -> None:
    runs = []
    for asked in (500.0, 1000.0):
        group = group_tally()
        group.response.clear()
        group.response.record(30_000_000, 2000)
        plan = Plan((Group(10, rate_per_second=asked),), duration_seconds=2.0)
        runs.append(replace(run(plan=plan), tally=tally(group)))
    curve = curve_of(*runs)
    assert curve.p99_figure == "response_seconds.p99"
    assert [point.p99_seconds for point in curve.points] == pytest.approx([0.03] * 2, rel=1 / 256)


def test_curves_that_differ_in_the_server_alone_belong_side_by_side() -> None:
    runs = [one_run(clients, model) for clients in (1, 10) for model in ("thread", "process")]
    one, other = curves(rows(result(*runs)))
    assert one.beside == other.beside
    assert "beside" not in one.to_json()


def test_another_number_may_be_varied() -> None:
    runs = [
        replace(one_run(10), plan=Plan((Group(10, size_bytes=size),), duration_seconds=2.0))
        for size in (64, 1024)
    ]
    curve = curve_of(*runs)
    assert (curve.by, [point.value for point in curve.points]) == ("size_bytes", [64, 1024])
    assert curve.memory_bytes_per_client is None
    assert "1.00 KiB" in str(curve_tables.curve_table(curve).rows)


def test_least_squares() -> None:
    fit = least_squares([1, 2, 3, 4], [2, 4, 5, 9])  # by hand: Sxy = 11, Sxx = 5, Syy = 26
    assert fit is not None
    assert fit.slope == pytest.approx(2.2)
    assert fit.intercept == pytest.approx(-0.5)
    assert fit.r_squared == pytest.approx(11**2 / 5 / 26)
    flat = least_squares([1, 2, 3], [7, 7, 7])
    assert flat is not None
    assert (flat.slope, flat.r_squared) == (0, None)
    assert least_squares([3, 3], [1, 2]) is None
    assert least_squares([], []) is None


def test_sentences_say_what_the_curve_says() -> None:
    found = curve_of(*(one for clients in ANSWERS for one in lives(clients)))
    said = curve_tables.sentence(found)
    assert said == (
        "throughput stops rising at 10 clients (9,500 messages/s), and falls to 4,000 at 1,000 "
        "clients (0.40 times the most); p99 stays within 100 ms up to "
        "100 clients and is past it, or somebody was not served, at 1,000; a client costs 1000 B "
        "of memory (4 loads, R2 1.00); and 0.1 cores up to the knee (2 loads)"
    )


def plans(*words: str) -> list[Plan]:
    return plans_of(make_parser().parse_args(words), seed=1)


def test_several_numbers_of_clients_are_several_plans() -> None:
    assert [plan.clients for plan in plans("--clients", "1,10, 100,10")] == [1, 10, 100]
    describe = curve_tables.describer(plans("--clients", "1,1000"))
    assert describe is not None
    assert [describe(plan) for plan in plans("--clients", "1,1000")] == [
        "1 client",
        "1,000 clients",
    ]
    assert curve_tables.describer(plans("--clients", "5")) is None


def test_a_sweep_varies_one_number() -> None:
    sizes = plans("--clients", "5", "--sweep", "size=64,1KiB")
    assert [(plan.clients, plan.groups[0].size_bytes) for plan in sizes] == [(5, 64), (5, 1024)]
    thinking = plans("--sweep", "think=0,exp:0.1")
    assert [plan.groups[0].think_distribution for plan in thinking] == ["constant", "exponential"]
    assert [plan.groups[0].rate_per_second for plan in plans("--sweep", "rate=10,20")] == [10, 20]


@pytest.mark.parametrize(
    "words",
    [
        ["--clients", "1,10", "--sweep", "size=1,2"],
        ["--clients", "1,10", "--group", "name=slow,clients=2"],
        ["--sweep", "rate=1,2", "--think", "1"],
    ],
)
def test_what_makes_no_curve_is_refused(words: list[str]) -> None:
    with pytest.raises(PlanError):
        plans(*words)


@pytest.mark.parametrize(
    "text", ["size", "size=", "size=64", "sise=1,2", "clients=1,2", "rate=1,x"]
)
def test_a_sweep_that_means_nothing(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        plans("--sweep", text)
    assert ended.value.code == USAGE_ERROR
    assert capsys.readouterr().err.count("\n") == 1
