"""Trials together as rows: one number for each figure."""

import math
from dataclasses import replace

import pytest

from loadgen.judge.cautions import cautions
from loadgen.judge.intervals import estimate
from loadgen.judge.registry import CPU_PER_MESSAGE, MESSAGES
from loadgen.judge.rows import load_of
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.monitor import TurnCost
from loadgen.record.result import Run
from loadgen.record.tally import GroupTally
from tests.runs import PLAN, cost, group_tally, in_turns, result, rows, run, tally, trials


def test_a_row_per_model_and_in_it_all_its_trials() -> None:
    found = rows(result(*trials("thread", [200, 210, 190]), *trials("process", [100, 101, 99])))
    assert [(row.name, len(row.trials)) for row in found] == [("thread", 3), ("process", 3)]


def test_the_seed_and_the_length_do_not_make_another_load() -> None:
    other = replace(PLAN, seed=99, duration_seconds=4.0)
    assert load_of(PLAN) == load_of(other)


def test_rows_of_several_interpreters_name_them() -> None:
    free = [replace(one, python="3.14.0t", gil="off") for one in trials("thread", [300, 301, 299])]
    found = rows(result(*trials("thread", [200, 201, 199]), *free))
    assert [row.name for row in found] == ["thread 3.14.0t", "thread 3.11.7"]


def test_percentiles_come_from_the_histograms_of_all_trials_together() -> None:
    quick = tally(group_tally(latency_seconds=0.001))
    slow = tally(group_tally(latency_seconds=0.1))
    row = rows(result(replace(run(), tally=quick), replace(run(trial=2), tally=slow)))[0]
    assert row.value("latency_seconds.count") == 4000
    assert row.value("latency_seconds.p50") == pytest.approx(0.001, rel=1 / 256)
    assert row.value("latency_seconds.p90") == pytest.approx(0.1, rel=1 / 256)  # their mean is 0.05


def test_how_a_row_adds_up_its_trials() -> None:
    one = replace(run(), tally=tally(group_tally(served=7)))
    other = replace(run(trial=2), tally=tally(group_tally(served=9)), kernel={"ListenDrops": 3})
    row = rows(result(one, other))[0]
    span = row.span("served")
    assert span is not None
    assert (span.low, span.high) == (7, 9)
    assert row.value("waiting") == 4
    assert row.kernel == {"ListenDrops": 3}
    assert row.value("wrong") == 0
    assert row.value("lost") is None
    assert row.value("messages_per_second") == pytest.approx(math.sqrt(700 * 900))


def test_a_run_without_a_tally_is_a_row_too() -> None:
    row = rows(result(replace(run(), tally=None, problem="it did not start")))[0]
    assert row.problem == "it did not start"
    assert row.value("messages_per_second") is None
    assert row.value("latency_seconds.p99") is None


def test_groups_are_told_apart() -> None:
    plan = Plan((Group(8, name="main"), Group(2, name="slow")), duration_seconds=2.0)
    counts = tally(group_tally(8, name="main"), group_tally(2, 10, name="slow"))
    row = rows(result(replace(run(plan=plan), tally=counts)))[0]
    assert row.value("groups.slow.messages") == 20
    assert row.pooled_group("slow").service.count == 20
    assert isinstance(row.pooled, GroupTally)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("messages_per_second", math.sqrt(700 * 900)),  # a geometric mean
        ("served", 7),  # the worst trial
        ("starved", 3),
        ("waiting", 4),  # a sum
        ("server.memory_bytes", 12 * 1024**2),  # a peak
        ("server.cpu_cores", 1.0),  # a median
        ("latency_seconds.count", 3200),
        ("kernel.ListenDrops", 3),
        ("response_seconds.p99", None),
    ],
)
def test_each_figure_is_put_together_as_the_registry_says(path: str, value: float | None) -> None:
    one = replace(run(), tally=tally(group_tally(served=7)))
    other = replace(run(trial=2), tally=tally(group_tally(served=9)), kernel={"ListenDrops": 3})
    small = replace(other, server=replace(cost(), memory_bytes=1024))
    found = rows(result(one, small))[0].value(path)
    assert found == (None if value is None else pytest.approx(value))


def test_there_is_no_value_of_what_is_no_figure() -> None:
    with pytest.raises(KeyError):
        rows(result(run()))[0].value("latency_seconds.p98")


def test_a_mean_takes_every_trial_and_a_zero_has_no_interval() -> None:
    silent = tally(group_tally(per_client=0, latency_seconds=0.001))
    row = rows(result(run(), replace(run(trial=2), tally=silent)))[0]
    found = row.estimate("messages_per_second")
    assert found is not None
    assert (found.mean, found.low, found.high, found.trials) == (500, None, None, 2)
    nothing = replace(run(trial=2), tally=None, problem="it did not start")
    assert rows(result(run(), nothing))[0].estimate("messages_per_second") is None


def test_the_interval_of_a_percentile_stands_around_the_one_of_all_messages() -> None:
    quick = replace(run(), tally=tally(group_tally(latency_seconds=0.001)))
    slow = replace(run(trial=2), tally=tally(group_tally(latency_seconds=0.1)))
    row = rows(result(quick, slow))[0]
    found = row.estimate("latency_seconds.p99")
    trials_alone = estimate(row.values("latency_seconds.p99"))
    assert found is not None
    assert trials_alone is not None
    assert found.mean == row.value("latency_seconds.p99") == pytest.approx(0.1, rel=1 / 256)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.mean < found.high
    assert found.spread == pytest.approx(trials_alone.spread)


def test_a_ratio_is_that_of_the_values() -> None:
    one = rows(result(*trials("thread", [100, 200])))[0]
    other = rows(result(*trials("thread", [400, 410])))[0]
    for path in ("messages_per_second", "latency_seconds.p99", "server.memory_bytes"):
        quotient = one.ratio(path, other)
        own, base = one.value(path), other.value(path)
        assert quotient is not None
        assert own is not None
        assert base is not None
        assert quotient.mean == pytest.approx(own / base)
    assert one.ratio("wrong", other) is None


def test_servers_that_took_turns_are_compared_within_their_rounds() -> None:
    # The machine is three times as fast in one life as in the other, and drifts within both.
    slow = [[1000, 1200], [3000, 3600], [2000, 1900]]
    fast = [[1500, 1800], [4500, 5400], [3000, 2850]]
    one, other = rows(result(*in_turns("thread", slow), *in_turns("selectors", fast)))
    assert one.name == "selectors"
    quotient = one.ratio("messages_per_second", other)
    assert quotient is not None
    assert quotient.mean == pytest.approx(1.5)
    assert quotient.low == pytest.approx(1.5)
    across = one.ratio_across("messages_per_second", other)
    assert across is not None
    assert across.low is not None
    assert across.low < 1
    # Its own interval leaves out what the machine did to both.
    beside = one.estimate("messages_per_second")
    alone = estimate(one.values("messages_per_second"))
    assert beside is not None
    assert beside.spread == pytest.approx(0, abs=1e-6)
    assert alone is not None
    assert alone.spread is not None
    assert alone.spread > 1
    # What is only known of whole lives is compared within those.
    cost = one.ratio("server.cpu_seconds_per_message", other)
    assert cost is not None
    assert cost.high == pytest.approx(1 / 1.5, rel=0.01)


def timed(model: str, times: float, missing: int = 0) -> list[Run]:
    """Lives whose latencies and CPU are so many times those of the machine, which drifts.

    Of the last life, that many rounds have no message.
    """
    machine = [[1.0, 1.5], [3.0, 3.6], [2.0, 1.9]]
    found = []
    for one, rounds in zip(in_turns(model, [[1000, 1000]] * 3), machine, strict=True):
        assert one.tally is not None
        spent = []
        for turn, slow in zip(one.tally.turns, rounds, strict=True):
            turn.service.record(round(times * slow * 1e6), 100)
            one.tally.groups[0].service.record(round(times * slow * 1e6), 1000)
            spent.append(TurnCost(turn.round, 1.0, 0.1 * times * slow, 0.0, None))
        total = sum(cost.cpu_seconds or 0.0 for cost in spent)
        server = replace(one.server, cpu_seconds=total, measured_seconds=2.0, turns=tuple(spent))
        found.append(replace(one, server=server))
    last = found[-1].tally
    assert last is not None
    for turn in last.turns[:missing]:
        turn.service.clear()
    return found


@pytest.mark.parametrize("path", ["latency_seconds.p50", CPU_PER_MESSAGE])
def test_latencies_and_cpu_are_compared_within_rounds_as_well(path: str) -> None:
    found = {row.name: row for row in rows(result(*timed("slow", 1.4), *timed("quick", 1.0)))}
    ratio = found["slow"].ratio(path, found["quick"])
    assert ratio is not None
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low == pytest.approx(1.4, rel=0.02)
    assert ratio.high == pytest.approx(1.4, rel=0.02)
    across = found["slow"].ratio_across(path, found["quick"])
    assert across is not None
    assert across.low is not None
    assert across.low < 1


def stolen_from(run_: Run, *seconds: float) -> Run:
    """The run, a hypervisor having taken so many seconds of CPU from each of its turns."""
    turns = [TurnCost(number, 1.0, 0.5, 0.0, None, one) for number, one in enumerate(seconds, 1)]
    return replace(run_, server=replace(run_.server, turns=tuple(turns)))


def test_turns_that_a_hypervisor_disturbed_count_for_no_rate() -> None:
    one, other, third = in_turns("thread", [[1000, 400], [1000, 1200], [300, 500]])
    lives = stolen_from(one, 0.05, 0.4), stolen_from(other, 0.0, 0.02), stolen_from(third, 0.4, 0.2)
    [row] = rows(result(*lives))
    # Where all were disturbed, there is nothing better.
    assert row.values(MESSAGES) == [1000, 1100, 400]
    [said] = [line for line in cautions(result(*lives), [row]) if "hypervisor took more" in line]
    assert said.startswith("1 of 6 turns count for no rate")
    [untouched] = rows(result(one, other, third))
    assert untouched.values(MESSAGES) == [700, 1100, 400]


def test_a_disturbed_turn_is_paired_with_nothing() -> None:
    slow = stolen_from(in_turns("thread", [[1000, 400]])[0], 0.0, 0.4)
    fast = in_turns("selectors", [[2000, 2000]])[0]
    found = {row.name: row for row in rows(result(slow, fast))}
    ratio = found["thread"].ratio(MESSAGES, found["selectors"])
    assert ratio is not None
    assert (ratio.mean, ratio.trials) == (0.5, 1)


def test_a_round_without_a_message_pairs_nothing() -> None:
    runs = [*timed("slow", 1.4, missing=1), *timed("quick", 1.0)]
    found = {row.name: row for row in rows(result(*runs))}
    ratio = found["slow"].ratio("latency_seconds.p99", found["quick"])
    assert ratio is not None
    assert ratio.trials == 3
    # The longest of all is a matter of the whole life.
    longest = found["slow"].ratio("latency_seconds.max", found["quick"])
    assert longest is not None
    assert longest.trials == 3


def test_of_one_life_the_turns_give_the_interval() -> None:
    row = rows(result(*in_turns("thread", [[1000, 1100, 900]])))[0]
    found = row.estimate("messages_per_second")
    alone = estimate([1000.0, 1100.0, 900.0])
    assert found is not None
    assert alone is not None
    assert found.mean == 1000
    assert found.spread == pytest.approx(alone.spread)
    cost_alone = row.estimate("server.cpu_seconds_per_message")
    assert cost_alone is not None
    assert cost_alone.low is None


def test_a_turn_without_a_reply_leaves_the_lives_to_compare() -> None:
    stalled = in_turns("process", [[0, 1000], [600, 500], [400, 600]])
    even = in_turns("thread", [[2000, 2000], [2000, 2000], [2000, 2000]])
    found = {row.name: row for row in rows(result(*stalled, *even))}
    quotient = found["thread"].ratio("messages_per_second", found["process"])
    assert quotient is not None
    assert quotient.p_value is not None
    assert quotient.mean == pytest.approx(4, rel=0.1)


def test_a_percentile_is_known_no_better_than_its_bucket() -> None:
    alike = [replace(run(trial=trial)) for trial in (1, 2, 3)]
    row = rows(result(*alike))[0]
    read, counted = row.estimate("latency_seconds.p99"), row.estimate("messages_per_second")
    assert read is not None
    assert counted is not None
    assert read.spread == pytest.approx(1 / 256, rel=0.01)
    assert counted.spread == 0


def test_two_speeds_are_found_in_the_timeline() -> None:
    line = ([175] * 10 + [400] * 10) * 3
    switching = replace(group_tally(), timeline=line)
    row = rows(result(replace(run(), tally=tally(switching))))[0]
    assert row.speeds is not None
    assert row.speeds.slow == pytest.approx(3500)
    assert row.speeds.fast == pytest.approx(8000)
    assert rows(result(run()))[0].speeds is None
