"""Ranks over trials whose figures are known."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from loadgen.judge.analysis import analyse
from loadgen.judge.ranks import ONE_TRIAL, TOO_SHORT, headline
from loadgen.judge.rows import Row
from loadgen.plan.endpoint import Endpoint
from loadgen.plan.group import Group
from loadgen.plan.plan import Plan
from loadgen.record.result import Run
from loadgen.record.tally import GroupTally
from loadgen.show.result_text import as_text
from tests.runs import (
    PLAN,
    cost,
    group_tally,
    in_turns,
    result,
    rows,
    run,
    starving,
    tally,
    trials,
)


def ranks(found: Sequence[Row]) -> dict[str, int | None]:
    return {row.name: row.rank for row in found}


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
            *trials("thread", [108, 111, 114]),
            *trials("process", [97, 103, 109]),
            *trials("selectors", [92, 95, 98]),
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
        means = [row.value("messages_per_second") or 0.0 for row in found]
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
        ("thread", 2),
        ("process", 2),
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
    assert found[1].unranked == ONE_TRIAL


def test_one_trial_ranks_nothing_but_keeps_the_order() -> None:
    analysis = analyse(result(run("process", per_client=100), run("thread", per_client=200)))
    found = analysis.rows
    assert ranks(found) == {"thread": None, "process": None}
    assert {row.unranked for row in found} == {ONE_TRIAL}
    assert any("--trials 3" in one for one in analysis.cautions)


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
    analysis = analyse(result(*(short(one) for one in trials("thread", [200, 201, 199]))))
    found = analysis.rows
    assert found[0].unranked == TOO_SHORT
    assert any("--duration" in one for one in analysis.cautions)


def test_many_short_lives_together_are_long_enough() -> None:
    many = [200, 201, 199, 200, 201]
    [row] = rows(result(*(short(one) for one in trials("thread", many))))
    assert row.unranked is None


def test_only_loads_that_are_alike_are_ranked_against_each_other() -> None:
    other = replace(PLAN, groups=(Group(10, size_bytes=1024),))
    found = rows(
        result(*trials("thread", [200, 201, 199]), *trials("thread", [100, 101, 99], plan=other))
    )
    assert [(row.plan.groups[0].size_bytes, row.rank) for row in found] == [
        (64, None),
        (1024, None),
    ]


@pytest.mark.parametrize(
    ("group", "path"),
    [
        (Group(10), "messages_per_second"),
        (Group(10, messages_per_connection=1), "connections_per_second"),
        (Group(10, silent=True), "server.memory_bytes"),
        (Group(10, rate_per_second=5.0), "response_seconds.p99"),
    ],
)
def test_what_a_load_is_ranked_by(group: Group, path: str) -> None:
    assert headline(Plan((group,))).path == path


def test_silent_connections_are_ranked_by_what_they_cost() -> None:
    silent = replace(PLAN, groups=(Group(10, silent=True),))

    def held(model: str, trial: int, memory: int) -> Run:
        counts = GroupTally(
            "all", clients=10, connected=10, connections=10, held=10, answered_per_client=[0] * 10
        )
        server = replace(cost(0.1), memory_bytes=memory * 1024**2 + trial)
        return replace(run(model, trial, plan=silent), tally=tally(counts), server=server)

    both = [held("process", trial, 90) for trial in (1, 2, 3)]
    both += [held("selectors", trial, 10) for trial in (1, 2, 3)]
    analysis = analyse(result(*both))
    assert [(row.name, row.rank) for row in analysis.rows] == [("selectors", 1), ("process", 2)]
    text = as_text(analysis)
    assert "Holding" in text
    assert "least memory" in text
    assert text.count("times") == 2, "said once of each"


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


def test_lost_datagrams_are_why_a_row_has_no_rank() -> None:
    lossy = []
    for one in trials("thread", [200, 201, 199]):
        assert one.tally is not None
        one.tally.groups[0].lost = one.tally.groups[0].failed = 1
        one.tally.groups[0].intended += 1
        udp = Endpoint("inet", "127.0.0.1", 8008, transport="udp")
        lossy.append(replace(one, plan=replace(PLAN, transport="udp"), endpoint=udp))
    assert rows(result(*lossy))[0].unranked == "lost datagrams"


def test_what_one_pair_alone_would_show_is_chance_among_many() -> None:
    # One pair in isolation differs at 95 %; among the ten pairs of five servers that is expected.
    close = [*trials("thread", [100, 101, 102]), *trials("process", [104, 104, 106])]
    assert set(ranks(rows(result(*close))).values()) == {1, 2}
    others = [
        one
        for model in ("selectors", "iterative", "asyncio-streams")
        for one in trials(model, [90, 100, 111])
    ]
    assert set(ranks(rows(result(*close, *others))).values()) == {1}


def test_servers_that_took_turns_are_ranked_by_their_rounds() -> None:
    slow = [[1000, 1200], [3000, 3600], [2000, 1900]]
    fast = [[1100, 1310], [3300, 3970], [2200, 2080]]
    found = rows(result(*in_turns("thread", slow), *in_turns("selectors", fast)))
    assert ranks(found) == {"selectors": 1, "thread": 2}
