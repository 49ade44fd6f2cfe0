"""Rows, ranks and ratios over trials whose figures are known."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from loadgen.judge import compare
from loadgen.judge.compare import ComparisonError, Row, rows, warnings
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.result import Result, Run
from loadgen.record.tally import GroupTally
from tests.runs import PLAN, cost, group_tally, result, run, starving, tally, trials


def ranks(found: Sequence[Row]) -> dict[str, int | None]:
    return {row.name: row.rank for row in found}


def test_a_row_per_model_and_in_it_all_its_trials() -> None:
    found = rows(result(*trials("thread", [200, 210, 190]), *trials("process", [100, 101, 99])))
    assert [(row.name, len(row.trials)) for row in found] == [("thread", 3), ("process", 3)]


def test_clearly_faster_is_ranked_higher() -> None:
    found = rows(result(*trials("process", [100, 101, 99]), *trials("thread", [200, 201, 199])))
    assert ranks(found) == {"thread": 1, "process": 2}
    assert [row.name for row in found] == ["thread", "process"]
    assert found[0].ties == ()


def test_no_clear_difference_is_the_same_rank() -> None:
    found = rows(
        result(
            *trials("process", [100, 130, 80]),
            *trials("thread", [110, 140, 90]),
            *trials("selectors", [400, 401, 399]),
        )
    )
    assert ranks(found) == {"selectors": 1, "thread": 2, "process": 2}
    assert found[1].ties == ("process",)


def test_a_wide_interval_lifts_nothing_above_what_is_faster() -> None:
    # `process` is not told apart from either of the others, yet they are from each other.
    found = rows(
        result(
            *trials("process", [700, 50, 400]),
            *trials("thread", [390, 420, 400]),
            *trials("selectors", [730, 735, 725]),
        )
    )
    assert [(row.name, row.rank) for row in found] == [
        ("selectors", 1),
        ("thread", 2),
        ("process", 2),
    ]
    assert found[2].ties == ("selectors", "thread")


def test_what_is_below_a_wide_interval_is_held_against_all_of_the_rank() -> None:
    found = rows(
        result(
            *trials("selectors", [730, 735, 725]),
            *trials("process", [1500, 100, 900]),
            *trials("thread", [390, 420, 400]),
            *trials("iterative", [380, 410, 390]),
        )
    )
    assert [(row.name, row.rank) for row in found] == [
        ("selectors", 1),
        ("process", 1),
        ("thread", 3),
        ("iterative", 3),
    ]


def test_a_row_is_held_against_every_row_of_the_rank_not_the_first_alone() -> None:
    found = rows(
        result(
            *trials("process", [2000, 200, 1100]),
            *trials("selectors", [730, 735, 725]),
            *trials("thread", [690, 692, 688]),
        )
    )
    assert [(row.name, row.rank) for row in found] == [
        ("process", 1),
        ("selectors", 1),
        ("thread", 3),
    ]


def test_a_chain_of_ties_ends_where_the_first_of_it_is_clearly_better() -> None:
    found = rows(
        result(
            *trials("thread", [100, 105, 110]),
            *trials("process", [94, 99, 104]),
            *trials("selectors", [88, 93, 98]),
        )
    )
    assert [(row.name, row.rank) for row in found] == [
        ("thread", 1),
        ("process", 1),
        ("selectors", 3),
    ]
    assert [row.ties for row in found] == [("process",), ("thread", "selectors"), ("process",)]


def test_ranks_never_fall_on_the_way_down() -> None:
    choose = random.Random(4)
    for _ in range(8):
        found = rows(
            result(
                *(
                    one
                    for model in ("thread", "process", "selectors", "iterative", "asyncio-streams")
                    for one in trials(
                        model,
                        [
                            round(choose.uniform(300, 700) * spread ** choose.uniform(-1, 1))
                            for spread in [choose.choice((1.02, 1.3, 4.0))] * 3
                        ],
                    )
                )
            )
        )
        means = [row.mean("messages_per_second") or 0.0 for row in found]
        order = [row.rank or 0 for row in found]
        assert means == sorted(means, reverse=True)
        assert order == sorted(order)
        for row in found:
            above = {one.name for one in found if one.rank == row.rank} - {row.name}
            assert above <= set(row.ties)
            assert order.index(row.rank or 0) + 1 == row.rank


def test_fewer_milliseconds_stand_above_more() -> None:
    found = rows(
        result(
            *open_loop("thread", [20, 21, 22]),
            *open_loop("process", [1, 50, 4]),
            *open_loop("selectors", [2.0, 2.1, 2.2]),
        )
    )
    assert [(row.name, row.rank) for row in found] == [
        ("selectors", 1),
        ("process", 1),
        ("thread", 3),
    ]


def test_a_row_of_one_trial_stands_by_its_figure_among_the_ranked() -> None:
    found = rows(
        result(
            *trials("thread", [400, 401, 399]),
            *trials("process", [100, 101, 99]),
            run("selectors", per_client=200),
        )
    )
    assert [(row.name, row.rank) for row in found] == [
        ("thread", 1),
        ("selectors", None),
        ("process", 2),
    ]
    assert found[1].unranked == compare.ONE_TRIAL


def test_one_trial_ranks_nothing_but_keeps_the_order() -> None:
    found = rows(result(run("process", per_client=100), run("thread", per_client=200)))
    assert ranks(found) == {"thread": None, "process": None}
    assert {row.unranked for row in found} == {compare.ONE_TRIAL}
    assert any("--trials 3" in one for one in warnings(result(), found))


def test_a_model_that_starves_clients_is_not_ranked_however_fast_it_is() -> None:
    fast = [starving(trial=trial) for trial in (1, 2, 3)]
    found = rows(
        result(*trials("thread", [200, 201, 199]), *fast, *trials("process", [100, 101, 99]))
    )
    assert [(row.name, row.rank) for row in found] == [
        ("thread", 1),
        ("process", 2),
        ("iterative", None),
    ]
    assert found[-1].unranked == "starved clients"


def invalid(one: Run) -> Run:
    group = group_tally()
    group.intended += 5
    return replace(one, tally=tally(group))


def wrong(one: Run) -> Run:
    group = group_tally()
    group.intended += 1
    group.wrong += 1
    return replace(one, tally=tally(group))


def failing(one: Run) -> Run:
    group = group_tally()
    group.intended += 1
    group.failed += 1
    group.count_error("ETIMEDOUT")
    return replace(one, tally=tally(group))


def reset(one: Run) -> Run:
    group = group_tally()
    group.reset += 1
    return replace(one, tally=tally(group))


def short(one: Run) -> Run:
    plan = replace(PLAN, duration_seconds=0.5)
    return replace(one, plan=plan, tally=tally(group_tally(window=0.5), window=0.5))


def cut_short(one: Run) -> Run:
    return replace(one, tally=replace(tally(group_tally()), cut_short=True))


def broken(one: Run) -> Run:
    return replace(one, tally=None, problem="it did not start")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (invalid, "failed its audit"),
        (wrong, "wrong replies"),
        (failing, "failed messages"),
        (reset, "lost clients"),
        (cut_short, "cut short"),
        (broken, "did not run"),
    ],
)
def test_one_bad_trial_is_enough_not_to_be_ranked(spoil: object, reason: str) -> None:
    assert callable(spoil)
    bad = trials("process", [100, 101, 99])
    found = rows(result(*trials("thread", [200, 201, 199]), *bad[:2], spoil(bad[2])))
    assert found[-1].name == "process"
    assert (found[-1].rank, found[-1].unranked) == (None, reason)


def test_too_short_to_rank_says_what_to_do() -> None:
    found = rows(result(*(short(one) for one in trials("thread", [200, 201, 199]))))
    assert found[0].unranked == compare.TOO_SHORT
    assert any("--duration" in one for one in warnings(result(), found))


def test_only_loads_that_are_alike_are_ranked_against_each_other() -> None:
    other = replace(PLAN, groups=(Group(10, size_bytes=1024),))
    found = rows(
        result(*trials("thread", [200, 201, 199]), *trials("thread", [100, 101, 99], plan=other))
    )
    assert [(row.plan.groups[0].size_bytes, row.rank) for row in found] == [
        (64, None),
        (1024, None),
    ]


def test_the_seed_and_the_length_do_not_make_another_load() -> None:
    other = replace(PLAN, seed=99, duration_seconds=4.0)
    assert compare.load_of(PLAN) == compare.load_of(other)


def test_rows_of_several_interpreters_name_them() -> None:
    free = [replace(one, python="3.14.0t", gil="off") for one in trials("thread", [300, 301, 299])]
    found = rows(result(*trials("thread", [200, 201, 199]), *free))
    assert [row.name for row in found] == ["thread 3.14.0t", "thread 3.11.7"]


@pytest.mark.parametrize(
    ("group", "path"),
    [
        (Group(10), "messages_per_second"),
        (Group(10, messages_per_connection=1), "connections_per_second"),
        (Group(10, silent=True), "connections_per_second"),
        (Group(10, rate_per_second=5.0), "response_seconds.p99"),
    ],
)
def test_what_a_load_is_ranked_by(group: Group, path: str) -> None:
    assert compare.headline(Plan((group,))).path == path


def open_loop(model: str, response_ms: Sequence[float]) -> list[Run]:
    plan = replace(PLAN, groups=(Group(10, rate_per_second=1000.0),))
    found = []
    for trial, milliseconds in enumerate(response_ms, start=1):
        group = group_tally()
        group.response.clear()
        group.response.record(round(milliseconds * 1e6), 2000)
        found.append(replace(run(model, trial, plan=plan), tally=tally(group)))
    return found


def test_with_a_given_rate_the_shortest_response_is_first() -> None:
    found = rows(
        result(*open_loop("thread", [30, 30.5, 29.5]), *open_loop("selectors", [3, 3.1, 2.9]))
    )
    assert ranks(found) == {"selectors": 1, "thread": 2}


def test_percentiles_come_from_the_histograms_of_all_trials_together() -> None:
    quick = tally(group_tally(latency_seconds=0.001))
    slow = tally(group_tally(latency_seconds=0.1))
    row = rows(result(replace(run(), tally=quick), replace(run(trial=2), tally=slow)))[0]
    assert row.latency_seconds.count == 4000
    assert row.latency_seconds.p50 == pytest.approx(0.001, rel=1 / 256)
    assert row.latency_seconds.p90 == pytest.approx(0.1, rel=1 / 256)  # their mean is 0.05


def test_how_a_row_adds_up_its_trials() -> None:
    one = replace(run(), tally=tally(group_tally(served=7)))
    other = replace(run(trial=2), tally=tally(group_tally(served=9)), kernel={"ListenDrops": 3})
    row = rows(result(one, other))[0]
    span = row.span("served")
    assert span is not None
    assert (span.low, span.high) == (7, 9)
    assert row.total("waiting") == 4
    assert row.kernel == {"ListenDrops": 3}
    assert row.mean("wrong") == 0
    assert row.mean("lost") is None
    assert row.mean("messages_per_second") == pytest.approx(math.sqrt(700 * 900))


def test_the_summary_has_intervals_and_null_without_one() -> None:
    several = compare.summary(rows(result(*trials("thread", [200, 201, 199]))))[0]
    interval = several["estimates"]["messages_per_second"]
    assert interval["low"] < interval["mean"] < interval["high"]
    alone = compare.summary(rows(result(run())))[0]["estimates"]["messages_per_second"]
    assert (alone["low"], alone["high"]) == (None, None)


def test_what_disturbed_a_run_is_said_with_what_to_do() -> None:
    noisy = replace(run(), server=cost(1.0, busy=2.5))
    stolen = replace(run(), server=replace(cost(), machine_stolen_seconds=0.4))
    assert any(
        "other programs used up to 1.00" in one for one in warnings(result(), rows(result(noisy)))
    )
    assert any("hypervisor" in one for one in warnings(result(), rows(result(stolen))))
    assert warnings(result(), rows(result(*trials("thread", [200, 201, 199])))) == []


def test_trials_that_differ_much_are_named() -> None:
    said = warnings(result(), rows(result(*trials("thread", [100, 200, 300]))))
    assert any("thread +/-" in one and "--trials" in one for one in said)


def test_a_rate_that_drifts_is_named() -> None:
    group = group_tally()
    group.timeline = [100] * 10 + [200] * 10
    said = warnings(result(), rows(result(replace(run(), tally=tally(group)))))
    assert any("thread +100%" in one and "--warmup" in one for one in said)


def test_fewer_cores_than_the_run_wants_are_pointed_out() -> None:
    plan = replace(PLAN, workers=4)
    said = warnings(result(), rows(result(run(plan=plan))))
    assert any("--workers" in one for one in said)


def test_too_few_messages_for_a_p99_are_pointed_out() -> None:
    said = warnings(result(), rows(result(run(per_client=50))))
    assert any("p99 rests on" in one for one in said)


def compared(model: str, per_client: Sequence[int], **changes: object) -> Result:
    return result(*trials(model, per_client), **changes)


def verdicts(a: Result, b: Result) -> dict[str, str]:
    found, _ = compare.diff(a, b)
    return {change.path: change.verdict for change in found[0].changes}


def test_diff_tells_better_from_worse_from_neither() -> None:
    before = compared("thread", [200, 201, 199])
    assert verdicts(before, compared("thread", [300, 301, 299]))["messages_per_second"] == "better"
    assert verdicts(before, compared("thread", [100, 101, 99]))["messages_per_second"] == "worse"
    same = verdicts(before, compared("thread", [203, 196, 202]))
    assert same["messages_per_second"] == "no clear difference"


def test_diff_knows_that_less_latency_is_better() -> None:
    before, after = compared("thread", [200, 201, 199]), compared("thread", [300, 301, 299])
    assert verdicts(before, after)["latency_seconds.p99"] == "better"


def test_diff_gives_the_ratio_of_b_to_a() -> None:
    found, _ = compare.diff(compared("thread", [200, 200]), compared("thread", [300, 300]))
    assert found[0].changes[0].ratio is not None
    assert found[0].changes[0].ratio.mean == pytest.approx(1.5)


def test_diff_of_single_trials_has_no_verdict() -> None:
    found, said = compare.diff(compared("thread", [200]), compared("thread", [300]))
    assert found[0].changes[0].verdict == compare.ONE_TRIAL
    assert any("--trials 3" in one for one in said)


def test_diff_pairs_two_servers_when_there_is_one_in_each() -> None:
    found, _ = compare.diff(compared("thread", [200, 201]), compared("redis-server", [300, 301]))
    assert (found[0].a, found[0].b) == ("thread", "redis-server")


def test_diff_leaves_out_what_is_in_one_alone_and_says_so() -> None:
    both = [*trials("thread", [200, 201]), *trials("process", [100, 101])]
    found, said = compare.diff(result(*both), compared("thread", [200, 202]))
    assert [one.a for one in found] == ["thread"]
    assert any("process" in one for one in said)


@pytest.mark.parametrize(
    "plan",
    [
        replace(PLAN, framing="line"),
        replace(PLAN, groups=(Group(11),)),
        replace(PLAN, groups=(Group(10, size_bytes=1024),)),
        replace(PLAN, groups=(Group(10, rate_per_second=100.0),)),
        replace(PLAN, duration_seconds=None, messages_per_client=5),
        replace(PLAN, groups=(Group(10), Group(5, name="slow"))),
    ],
)
def test_diff_refuses_other_loads_and_says_what_differs(plan: Plan) -> None:
    groups = [group_tally(group.clients, name=group.name) for group in plan.groups]
    other = [replace(one, plan=plan, tally=tally(*groups)) for one in trials("thread", [200, 201])]
    with pytest.raises(ComparisonError, match="the loads differ"):
        compare.diff(compared("thread", [200, 201]), result(*other))


def test_diff_warns_when_the_machine_or_the_length_differs() -> None:
    a = compared("thread", [200, 201])
    far = replace(a.environment, cpu="another", python="3.99")
    longer = replace(PLAN, duration_seconds=9.0)
    b = result(*trials("thread", [200, 201], plan=longer), environment=far)
    _, said = compare.diff(a, b)
    assert any("machine" in one and "another" in one for one in said)
    assert any("duration seconds differs: 2.0 and 9.0" in one for one in said)


def test_diff_of_nothing_is_refused() -> None:
    with pytest.raises(ComparisonError, match="no run"):
        compare.diff(result(), compared("thread", [200]))
    several = result(*trials("thread", [200]), *trials("process", [200]))
    with pytest.raises(ComparisonError, match="nothing was measured in both"):
        compare.diff(several, compared("selectors", [200]))


def test_a_run_without_a_tally_is_a_row_too() -> None:
    row = rows(result(broken(run())))[0]
    assert row.problem == "it did not start"
    assert row.mean("messages_per_second") is None
    assert row.latency_seconds.count == 0


def test_groups_are_told_apart() -> None:
    plan = Plan((Group(8, name="main"), Group(2, name="slow")), duration_seconds=2.0)
    counts = tally(group_tally(8, name="main"), group_tally(2, 10, name="slow"))
    row = rows(result(replace(run(plan=plan), tally=counts)))[0]
    assert row.mean("groups.slow.messages") == 20
    assert row.pooled_group("slow").service.count == 20
    assert isinstance(row.pooled, GroupTally)


@pytest.mark.parametrize(
    "other",
    [replace(PLAN, family="inet6"), replace(PLAN, transport="udp"), replace(PLAN, talk="once")],
    ids=["family", "transport", "talk"],
)
def test_another_way_to_the_server_is_another_load(other: Plan) -> None:
    assert compare.load_of(PLAN) != compare.load_of(other)
    with pytest.raises(ComparisonError, match=r"(inet and inet6|tcp and udp|loop and once)$"):
        compare.diff(result(run()), result(run(plan=other)))


def test_lost_datagrams_are_why_a_row_has_no_rank() -> None:
    lossy = []
    for one in trials("thread", [200, 201, 199]):
        assert one.tally is not None
        one.tally.groups[0].lost = one.tally.groups[0].failed = 1
        one.tally.groups[0].intended += 1
        udp = Endpoint("inet", "127.0.0.1", 8008, transport="udp")
        lossy.append(replace(one, plan=replace(PLAN, transport="udp"), endpoint=udp))
    assert rows(result(*lossy))[0].unranked == "lost datagrams"
